#include "net/nft_rule.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <utility>

namespace podlab::net {
namespace {

// Offset and mask of the fragment offset, in the IPv4 header and in IPv6's fragment header.
constexpr PacketField kFragmentOffset{PacketField::Header::kNetwork, 6, 2};
constexpr std::string_view kFragmentMask("\x1f\xff", 2);
constexpr std::uint32_t kFragmentHeaderOffset = 2;
constexpr std::string_view kFragmentHeaderMask("\xff\xf8", 2);
constexpr std::string_view kZero("\0\0", 2);

std::string_view bytesOf(const std::uint16_t& networkOrder) {
  return {reinterpret_cast<const char*>(&networkOrder), sizeof networkOrder};
}

void putNumber(NetlinkMessage& message, std::uint16_t type, std::uint32_t value) {
  message.put(type, htonl(value));
}

void putRegister(NetlinkMessage& message, std::uint16_t type, unsigned reg) {
  putNumber(message, type, NFT_REG32_00 + reg);
}

void putData(NetlinkMessage& message, std::uint16_t type, std::string_view value) {
  message.nest(
      type, [&](NetlinkMessage& data) { data.put(NFTA_DATA_VALUE, value.data(), value.size()); });
}

void addExpression(NetlinkMessage& body, const char* name,
                   const std::function<void(NetlinkMessage&)>& fill) {
  body.nest(NFTA_LIST_ELEM, [&](NetlinkMessage& element) {
    element.put(NFTA_EXPR_NAME, std::string_view(name)).nest(NFTA_EXPR_DATA, fill);
  });
}

void addMeta(NetlinkMessage& body, std::uint32_t key, unsigned reg) {
  addExpression(body, "meta", [&](NetlinkMessage& data) {
    putNumber(data, NFTA_META_KEY, key);
    putRegister(data, NFTA_META_DREG, reg);
  });
}

void addBitwise(NetlinkMessage& body, std::string_view mask) {
  addExpression(body, "bitwise", [&](NetlinkMessage& data) {
    putRegister(data, NFTA_BITWISE_SREG, 0);
    putRegister(data, NFTA_BITWISE_DREG, 0);
    putNumber(data, NFTA_BITWISE_LEN, static_cast<std::uint32_t>(mask.size()));
    putData(data, NFTA_BITWISE_MASK, mask);
    putData(data, NFTA_BITWISE_XOR, std::string(mask.size(), '\0'));
  });
}

}  // namespace

PacketField PacketField::source(Family family) {
  return family == Family::kV4 ? PacketField{Header::kNetwork, 12, 4}
                               : PacketField{Header::kNetwork, 8, 16};
}

PacketField PacketField::destination(Family family) {
  return family == Family::kV4 ? PacketField{Header::kNetwork, 16, 4}
                               : PacketField{Header::kNetwork, 24, 16};
}

PacketField PacketField::addresses(Family family) {
  PacketField field = source(family);
  field.length *= 2;
  return field;
}

NftRuleWriter::NftRuleWriter() : body_(0, 0, "") {}

NftRuleWriter& NftRuleWriter::compare(std::uint32_t operation, std::string_view value) {
  addExpression(body_, "cmp", [&](NetlinkMessage& data) {
    putRegister(data, NFTA_CMP_SREG, 0);
    putNumber(data, NFTA_CMP_OP, operation);
    putData(data, NFTA_CMP_DATA, value);
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::isFamily(Family family) {
  const char protocol = family == Family::kV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  addMeta(body_, NFT_META_NFPROTO, 0);
  return compare(NFT_CMP_EQ, {&protocol, 1});
}

NftRuleWriter& NftRuleWriter::isProtocol(std::uint8_t protocol) {
  const char value = static_cast<char>(protocol);
  addMeta(body_, NFT_META_L4PROTO, 0);
  return compare(NFT_CMP_EQ, {&value, 1});
}

NftRuleWriter& NftRuleWriter::isEtherType(std::uint16_t type) {
  const std::uint16_t value = htons(type);
  addMeta(body_, NFT_META_PROTOCOL, 0);
  return compare(NFT_CMP_EQ, bytesOf(value));
}

NftRuleWriter& NftRuleWriter::isChosen(std::uint32_t chances) {
  addExpression(body_, "numgen", [](NetlinkMessage& data) {
    putRegister(data, NFTA_NG_DREG, 0);
    putNumber(data, NFTA_NG_MODULUS, kChances);
    putNumber(data, NFTA_NG_TYPE, NFT_NG_RANDOM);
    putNumber(data, NFTA_NG_OFFSET, 0);
  });
  // Comparisons are of bytes.
  addExpression(body_, "byteorder", [](NetlinkMessage& data) {
    putRegister(data, NFTA_BYTEORDER_SREG, 0);
    putRegister(data, NFTA_BYTEORDER_DREG, 0);
    putNumber(data, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    putNumber(data, NFTA_BYTEORDER_LEN, sizeof(std::uint32_t));
    putNumber(data, NFTA_BYTEORDER_SIZE, sizeof(std::uint32_t));
  });
  const std::uint32_t bound = htonl(chances);
  return compare(NFT_CMP_LT, {reinterpret_cast<const char*>(&bound), sizeof bound});
}

NftRuleWriter& NftRuleWriter::isNotTcp() {
  const char value = IPPROTO_TCP;
  addMeta(body_, NFT_META_L4PROTO, 0);
  return compare(NFT_CMP_NEQ, {&value, 1});
}

NftRuleWriter& NftRuleWriter::isPort(std::uint16_t low, std::uint16_t high) {
  const std::uint16_t from = htons(low);
  const std::uint16_t to = htons(high);
  load(PacketField::destinationPort());
  if (low == high) return compare(NFT_CMP_EQ, bytesOf(from));
  return compare(NFT_CMP_GTE, bytesOf(from)).compare(NFT_CMP_LTE, bytesOf(to));
}

NftRuleWriter& NftRuleWriter::isByte(PacketField field, std::uint8_t low, std::uint8_t high) {
  const char from = static_cast<char>(low);
  const char to = static_cast<char>(high);
  load(field);
  if (low == high) return compare(NFT_CMP_EQ, {&from, 1});
  return compare(NFT_CMP_GTE, {&from, 1}).compare(NFT_CMP_LTE, {&to, 1});
}

NftRuleWriter& NftRuleWriter::isMasked(PacketField field, std::string_view mask,
                                       std::string_view value, bool equal) {
  load(field);
  addBitwise(body_, mask);
  return compare(equal ? NFT_CMP_EQ : NFT_CMP_NEQ, value);
}

NftRuleWriter& NftRuleWriter::isLaterFragment(Family family) {
  isFamily(family);
  if (family == Family::kV4) return isMasked(kFragmentOffset, kFragmentMask, kZero, false);
  addExpression(body_, "exthdr", [](NetlinkMessage& data) {
    putRegister(data, NFTA_EXTHDR_DREG, 0);
    data.put(NFTA_EXTHDR_TYPE, std::uint8_t{IPPROTO_FRAGMENT});
    putNumber(data, NFTA_EXTHDR_OFFSET, kFragmentHeaderOffset);
    putNumber(data, NFTA_EXTHDR_LEN, static_cast<std::uint32_t>(kFragmentHeaderMask.size()));
    putNumber(data, NFTA_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
  });
  addBitwise(body_, kFragmentHeaderMask);
  return compare(NFT_CMP_NEQ, kZero);
}

NftRuleWriter& NftRuleWriter::load(PacketField field, unsigned reg) {
  addExpression(body_, "payload", [&](NetlinkMessage& data) {
    putRegister(data, NFTA_PAYLOAD_DREG, reg);
    putNumber(data, NFTA_PAYLOAD_BASE, static_cast<std::uint32_t>(field.header));
    putNumber(data, NFTA_PAYLOAD_OFFSET, field.offset);
    putNumber(data, NFTA_PAYLOAD_LEN, field.length);
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::loadProtocol(unsigned reg) {
  addMeta(body_, NFT_META_L4PROTO, reg);
  return *this;
}

NftRuleWriter& NftRuleWriter::loadLinkName(LinkSide side) {
  addMeta(body_, side == LinkSide::kIn ? NFT_META_IIFNAME : NFT_META_OIFNAME, 0);
  return *this;
}

NftRuleWriter& NftRuleWriter::isIn(const std::string& set) {
  addExpression(body_, "lookup", [&](NetlinkMessage& data) {
    data.put(NFTA_LOOKUP_SET, std::string_view(set));
    putRegister(data, NFTA_LOOKUP_SREG, 0);
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::followVerdict(const std::string& set) {
  addExpression(body_, "lookup", [&](NetlinkMessage& data) {
    data.put(NFTA_LOOKUP_SET, std::string_view(set));
    putRegister(data, NFTA_LOOKUP_SREG, 0);
    putNumber(data, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::remember(const std::string& set, std::uint32_t seconds) {
  addExpression(body_, "dynset", [&](NetlinkMessage& data) {
    data.put(NFTA_DYNSET_SET_NAME, std::string_view(set));
    putNumber(data, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    putRegister(data, NFTA_DYNSET_SREG_KEY, 0);
    data.put(NFTA_DYNSET_TIMEOUT, htobe64(std::uint64_t{seconds} * 1000));
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::count() {
  addExpression(body_, "counter", [](NetlinkMessage&) {});
  return *this;
}

NftRuleWriter& NftRuleWriter::isValue(PacketField field, std::string_view value) {
  return load(field).compare(NFT_CMP_EQ, value);
}

NftRuleWriter& NftRuleWriter::trace() {
  addExpression(body_, "immediate", [&](NetlinkMessage& data) {
    putRegister(data, NFTA_IMMEDIATE_DREG, 0);
    data.nest(NFTA_IMMEDIATE_DATA, [&](NetlinkMessage& value) {
      constexpr std::uint8_t kOn = 1;
      value.put(NFTA_DATA_VALUE, &kOn, sizeof kOn);
    });
  });
  addExpression(body_, "meta", [&](NetlinkMessage& data) {
    putNumber(data, NFTA_META_KEY, NFT_META_NFTRACE);
    putRegister(data, NFTA_META_SREG, 0);
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::verdict(std::int32_t code, const std::string& chain) {
  addExpression(body_, "immediate", [&](NetlinkMessage& data) {
    putNumber(data, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    data.nest(NFTA_IMMEDIATE_DATA, [&](NetlinkMessage& value) {
      value.nest(NFTA_DATA_VERDICT, [&](NetlinkMessage& inner) {
        putNumber(inner, NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
        if (!chain.empty()) inner.put(NFTA_VERDICT_CHAIN, std::string_view(chain));
      });
    });
  });
  return *this;
}

NftRuleWriter& NftRuleWriter::accept() {
  return verdict(NF_ACCEPT, "");
}
NftRuleWriter& NftRuleWriter::drop() {
  return verdict(NF_DROP, "");
}
NftRuleWriter& NftRuleWriter::jump(const std::string& chain) {
  return verdict(NFT_JUMP, chain);
}
NftRuleWriter& NftRuleWriter::goTo(const std::string& chain) {
  return verdict(NFT_GOTO, chain);
}

NftRule NftRuleWriter::rule(std::string comment) const {
  const auto bytes = body_.bytes().subspan(sizeof(nlmsghdr));
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
          std::move(comment)};
}

}  // namespace podlab::net
