#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/address.hpp"
#include "net/netlink_message.hpp"

namespace podlab::net {

/// A rule of an nftables chain: its expressions as the kernel takes them, and a comment that `nft
/// list ruleset` shows.
struct NftRule {
  std::string expressions;
  std::string comment;
  auto operator<=>(const NftRule&) const = default;
};

/// A number of bytes that a packet's rule reads: where they begin, and how many.
struct PacketField {
  enum class Header : std::uint8_t { kNetwork = 1, kTransport = 2 };  // NFT_PAYLOAD_*_HEADER
  Header header = Header::kNetwork;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;

  static PacketField source(Family family);
  static PacketField destination(Family family);
  /// Both, the source first: they are side by side.
  static PacketField addresses(Family family);
  static PacketField sourcePort() { return {Header::kTransport, 0, 2}; }
  static PacketField destinationPort() { return {Header::kTransport, 2, 2}; }
};

/// A network device, by its name.
struct LinkName {
  std::string name;
};
enum class LinkSide { kIn, kOut };

/// Writes the expressions of one rule in their order. A packet goes on to the next expression while
/// each holds, and to the next rule when one does not, or reads what the packet does not have.
/// Registers are the kernel's sixteen of four bytes; a key of several parts lies in successive
/// ones.
class NftRuleWriter {
 public:
  NftRuleWriter();

  // Matches. They use register 0.
  NftRuleWriter& isFamily(Family family);
  NftRuleWriter& isProtocol(std::uint8_t protocol);
  /// ETH_P_ARP, ...; for tables of family bridge.
  NftRuleWriter& isEtherType(std::uint16_t type);
  /// So many of kChances, at random.
  NftRuleWriter& isChosen(std::uint32_t chances);
  static constexpr std::uint32_t kChances = 1'000'000;
  NftRuleWriter& isNotTcp();
  /// From `low` to `high`, in network order.
  NftRuleWriter& isPort(std::uint16_t low, std::uint16_t high);
  NftRuleWriter& isByte(PacketField field, std::uint8_t low, std::uint8_t high);
  /// `field & mask` is, or is not, `value`; all of the field's length.
  NftRuleWriter& isMasked(PacketField field, std::string_view mask, std::string_view value,
                          bool equal);
  /// `field`, of up to 16 bytes, is `value`.
  NftRuleWriter& isValue(PacketField field, std::string_view value);
  /// A fragment other than the first.
  NftRuleWriter& isLaterFragment(Family family);

  // Keys, and what is done with them.
  NftRuleWriter& load(PacketField field, unsigned reg = 0);
  NftRuleWriter& loadProtocol(unsigned reg);
  /// The name of the link by which the packet came or goes: four registers.
  NftRuleWriter& loadLinkName(LinkSide side);
  /// The key that begins at register 0 is in the set.
  NftRuleWriter& isIn(const std::string& set);
  /// Goes where the set of verdicts says for the key.
  NftRuleWriter& followVerdict(const std::string& set);
  /// Puts the key that begins at register 0 into the set, or begins its time anew.
  NftRuleWriter& remember(const std::string& set, std::uint32_t seconds);

  // Ends.
  NftRuleWriter& count();
  /// The kernel tells of the packet's way through all rules (NFNLGRP_NFTRACE).
  NftRuleWriter& trace();
  NftRuleWriter& accept();
  NftRuleWriter& drop();
  NftRuleWriter& jump(const std::string& chain);
  NftRuleWriter& goTo(const std::string& chain);

  NftRule rule(std::string comment = "") const;

 private:
  NftRuleWriter& compare(std::uint32_t operation, std::string_view value);
  NftRuleWriter& verdict(std::int32_t code, const std::string& chain);

  NetlinkMessage body_;
};

}  // namespace podlab::net
