#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/netlink_message.hpp"
#include "net/nft_rule.hpp"

namespace podlab::net {

/// podlab's one table of nftables in a network namespace: a node's is of family inet, that of a
/// lab's switch of family bridge.
inline constexpr char kNftTableName[] = "podlab";
enum class NftFamily : std::uint8_t { kInet = 1, kBridge = 7 };  // NFPROTO_*

/// Where a base chain is called.
struct NftHook {
  std::uint32_t number = 0;  ///< NF_INET_FORWARD, NF_BR_FORWARD, ...
  std::int32_t priority = 0;
  auto operator<=>(const NftHook&) const = default;
};

/// What leaves a base chain is accepted.
struct NftChain {
  std::optional<NftHook> hook;
  /// nullopt: there are some, and they are not known.
  std::optional<std::vector<NftRule>> rules = std::vector<NftRule>();
  bool operator==(const NftChain&) const = default;
};

struct NftElement {
  std::string key;
  std::string chain = {};    ///< of a set of verdicts: where the packet goes to
  bool intervalEnd = false;  ///< of intervals: the first key behind one
  auto operator<=>(const NftElement&) const = default;
};

struct NftSet {
  enum class Kind : std::uint8_t {
    kKeys,
    kIntervals,
    kVerdicts,  ///< a chain for each key
    kDynamic,   ///< filled by rules; its elements are not the table's state
  };
  Kind kind = Kind::kKeys;
  std::uint32_t keyType = 0;  ///< of its parts, as nft shows them: nftKeyType()
  std::uint32_t keyLength = 0;
  std::uint32_t size = 0;            ///< at most so many elements; 0: any number
  std::vector<NftElement> elements;  ///< sorted, each key once
  bool sameDefinition(const NftSet& other) const;
  bool operator==(const NftSet&) const = default;
};

/// nft's numbers of types (libnftables, datatype.h), of a key of several parts together.
enum class NftType : std::uint32_t {
  kIpv4 = 7,
  kIpv6 = 8,
  kProtocol = 12,
  kPort = 13,
  kLinkName = 41
};
std::uint32_t nftKeyType(std::initializer_list<NftType> parts);
/// A part of a key, padded to registers of four bytes.
std::string nftKey(const IpAddress& address);
std::string nftKey(const LinkName& link);
std::string nftKey(std::uint8_t number);
std::string nftKey(std::uint16_t number);

/// All of a table.
struct NftTable {
  NftFamily family = NftFamily::kInet;
  std::map<std::string, NftChain> chains;
  std::map<std::string, NftSet> sets;
  bool operator==(const NftTable&) const = default;
};

/// Requests that must be carried out together, in one transaction.
using NftGroup = std::vector<NetlinkMessage>;

/// The requests from one state of the table to another; nullopt: there is none.
///
/// Done in one transaction, packets see the one or the other. Where they are too many for one, they
/// may be cut between groups: what is new is filled before it is used, each chain and each set of
/// verdicts changes at once, and what is old goes last.
std::vector<NftGroup> tableChanges(const std::optional<NftTable>& actual,
                                   const std::optional<NftTable>& desired);

}  // namespace podlab::net
