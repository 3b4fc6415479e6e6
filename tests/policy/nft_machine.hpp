#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/nft_table.hpp"
#include "policy/protocol.hpp"

namespace podlab::policy {

/// A packet, as far as rules look into it.
struct Packet {
  net::Family family = net::Family::kV4;
  std::uint8_t protocol = 0;
  std::string network;    ///< the IP header
  std::string transport;  ///< empty of a fragment other than the first
  std::string fragment;   ///< IPv6's fragment header

  static Packet syn(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t sport,
                    std::uint16_t dport);
  static Packet tcp(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t sport,
                    std::uint16_t dport, std::uint8_t flags);
  /// UDP or SCTP.
  static Packet datagram(Protocol protocol, const net::IpAddress& from, const net::IpAddress& to,
                         std::uint16_t sport, std::uint16_t dport);
  static Packet icmp(const net::IpAddress& from, const net::IpAddress& to, std::uint8_t type,
                     std::uint16_t id);
  static Packet echo(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t id);
  static Packet echoReply(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t id);
  static Packet laterFragment(Protocol protocol, const net::IpAddress& from,
                              const net::IpAddress& to);
};

/// Runs packets through a table by its rules' encoded bytes, as the kernel's nf_tables would (net/
/// netfilter/nf_tables_core.c): what the encoder writes is tested, too.
class NftMachine {
 public:
  explicit NftMachine(net::NftTable table) { replace(std::move(table)); }
  NftMachine(NftMachine&&) = delete;
  /// Whether the hook forward lets it pass. Aborts on what it does not know.
  bool forward(const Packet& packet);
  /// Other rules; what is remembered stays.
  void replace(net::NftTable table);

 private:
  enum class Kind : std::uint8_t {
    kMeta,
    kPayload,
    kExtension,
    kBitwise,
    kCompare,
    kLookup,
    kDynset,
    kImmediate
  };
  struct Expression {
    Kind kind = Kind::kMeta;
    std::uint32_t reg = 0;     ///< the one that it reads, or else writes
    std::uint32_t number = 0;  ///< a key, header, operation or verdict
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    std::string text;  ///< a value, a set or a chain
    const net::NftSet* set = nullptr;
  };
  Expression decode(const std::string& name, const net::NetlinkAttributes& data) const;
  using Rule = std::vector<Expression>;
  enum class Outcome : std::uint8_t { kContinue, kAccept, kDrop };
  Outcome runChain(const std::string& name, const Packet& packet);
  Outcome runRule(const Rule& rule, const Packet& packet, bool& returned);
  Outcome follow(std::int32_t code, const std::string& chain, const Packet& packet, bool& returned);

  net::NftTable table_;
  std::map<std::string, std::vector<Rule>> chains_;
  std::vector<std::string> base_;                            // in the order of their priorities
  std::map<std::string, std::set<std::string>> remembered_;  // by set
};

}  // namespace podlab::policy
