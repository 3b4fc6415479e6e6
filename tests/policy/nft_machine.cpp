#include "tests/policy/nft_machine.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <vector>

namespace podlab::policy {
namespace {

using net::Family;
using net::NetlinkAttributes;

[[noreturn]] void unknown(const std::string& what) {
  std::cerr << "nft machine: " << what << "\n";
  std::abort();
}

std::string number16(std::uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string headerOf(const net::IpAddress& from, const net::IpAddress& to) {
  const std::string addresses = net::nftKey(from) + net::nftKey(to);
  return std::string(from.isV4() ? 12 : 8, '\0') + addresses;
}

Packet packetOf(std::uint8_t protocol, const net::IpAddress& from, const net::IpAddress& to,
                std::string transport) {
  return {from.family(), protocol, headerOf(from, to), std::move(transport), ""};
}

std::uint32_t number(const NetlinkAttributes& data, std::uint16_t type) {
  if (!data.find(type)) unknown("an attribute is missing");
  return ntohl(data.number<std::uint32_t>(type));
}

std::string bytesOf(const NetlinkAttributes& data, std::uint16_t type) {
  auto payload = data.nested(type).find(NFTA_DATA_VALUE);
  if (!payload) unknown("a value is missing");
  return {reinterpret_cast<const char*>(payload->data()), payload->size()};
}

class Registers {
 public:
  void store(std::uint32_t reg, std::string value) {
    value.resize((value.size() + 3) / 4 * 4, '\0');
    std::memcpy(at(reg, value.size()), value.data(), value.size());
  }
  std::string load(std::uint32_t reg, std::size_t size) {
    const char* from = at(reg, size);
    return {from, size};
  }

 private:
  char* at(std::uint32_t reg, std::size_t size) {
    if (reg < NFT_REG32_00 || std::size_t{reg - NFT_REG32_00} * 4 + size > bytes_.size()) {
      unknown("a register is out of bounds");
    }
    return bytes_.data() + std::size_t{reg - NFT_REG32_00} * 4;
  }
  std::array<char, 64> bytes_{};
};

std::optional<std::string> slice(const std::string& header, std::uint32_t offset,
                                 std::uint32_t length) {
  if (header.size() < std::size_t{offset} + length) return std::nullopt;
  return header.substr(offset, length);
}

bool compares(std::uint32_t operation, int order) {
  switch (operation) {
    case NFT_CMP_EQ:
      return order == 0;
    case NFT_CMP_NEQ:
      return order != 0;
    case NFT_CMP_LTE:
      return order <= 0;
    case NFT_CMP_GTE:
      return order >= 0;
    default:
      unknown("a comparison");
  }
}

/// The element of the key: of intervals, the last one that begins at or before it.
const net::NftElement* find(const net::NftSet& set, const std::string& key) {
  if (key.size() != set.keyLength) unknown("a key of another length");
  const net::NftElement* found = nullptr;
  for (const auto& element : set.elements) {
    if (set.kind == net::NftSet::Kind::kIntervals) {
      // Bytes compare as unsigned.
      if (std::memcmp(element.key.data(), key.data(), key.size()) <= 0) found = &element;
    } else if (element.key == key) {
      return &element;
    }
  }
  return found != nullptr && found->intervalEnd ? nullptr : found;
}

}  // namespace

Packet Packet::tcp(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t sport,
                   std::uint16_t dport, std::uint8_t flags) {
  std::string header = number16(sport) + number16(dport) + std::string(16, '\0');
  header[13] = static_cast<char>(flags);
  return packetOf(IPPROTO_TCP, from, to, header);
}

Packet Packet::syn(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t sport,
                   std::uint16_t dport) {
  return tcp(from, to, sport, dport, 0x02);
}

Packet Packet::datagram(Protocol protocol, const net::IpAddress& from, const net::IpAddress& to,
                        std::uint16_t sport, std::uint16_t dport) {
  return packetOf(static_cast<std::uint8_t>(protocol), from, to,
                  number16(sport) + number16(dport) + std::string(4, '\0'));
}

Packet Packet::icmp(const net::IpAddress& from, const net::IpAddress& to, std::uint8_t type,
                    std::uint16_t id) {
  std::string header(8, '\0');
  header[0] = static_cast<char>(type);
  header.replace(4, 2, number16(id));
  return packetOf(from.isV4() ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6}, from, to,
                  header);
}

Packet Packet::echo(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t id) {
  return icmp(from, to, from.isV4() ? 8 : 128, id);
}

Packet Packet::echoReply(const net::IpAddress& from, const net::IpAddress& to, std::uint16_t id) {
  return icmp(from, to, from.isV4() ? 0 : 129, id);
}

Packet Packet::laterFragment(Protocol protocol, const net::IpAddress& from,
                             const net::IpAddress& to) {
  Packet packet = packetOf(static_cast<std::uint8_t>(protocol), from, to, "");
  if (from.isV4()) {
    packet.network[7] = 1;  // offset 1
  } else {
    packet.fragment = std::string("\x11\0\0\x08\0\0\0\0", 8);
  }
  return packet;
}

void NftMachine::replace(net::NftTable table) {
  table_ = std::move(table);
  chains_.clear();
  std::map<std::int32_t, std::string> base;
  for (const auto& [name, chain] : table_.chains) {
    if (chain.hook && chain.hook->number == NF_INET_FORWARD) base[chain.hook->priority] = name;
    auto& rules = chains_[name];
    for (const auto& rule : *chain.rules) {
      const std::span<const char> bytes(rule.expressions.data(), rule.expressions.size());
      auto& expressions = rules.emplace_back();
      NetlinkAttributes(std::as_bytes(bytes))
          .forEach([&](std::uint16_t, std::span<const std::byte> payload) {
            const NetlinkAttributes element(payload);
            const std::string kind = element.text(NFTA_EXPR_NAME);
            if (kind == "counter") return;
            expressions.push_back(decode(kind, element.nested(NFTA_EXPR_DATA)));
          });
    }
  }
  base_.clear();
  for (const auto& [priority, name] : base) base_.push_back(name);
}

bool NftMachine::forward(const Packet& packet) {
  return std::ranges::all_of(
      base_, [&](const auto& name) { return runChain(name, packet) != Outcome::kDrop; });
}

NftMachine::Outcome NftMachine::runChain(const std::string& name, const Packet& packet) {
  const auto chain = chains_.find(name);
  if (chain == chains_.end()) unknown("no chain " + name);
  for (const auto& rule : chain->second) {
    bool returned = false;
    const Outcome outcome = runRule(rule, packet, returned);
    if (outcome != Outcome::kContinue) return outcome;
    if (returned) break;
  }
  return Outcome::kContinue;
}

NftMachine::Outcome NftMachine::follow(std::int32_t code, const std::string& chain,
                                       const Packet& packet, bool& returned) {
  switch (code) {
    case NF_ACCEPT:
      return Outcome::kAccept;
    case NF_DROP:
      return Outcome::kDrop;
    case NFT_JUMP:
      return runChain(chain, packet);
    case NFT_GOTO:
      returned = true;
      return runChain(chain, packet);
    default:
      unknown("a verdict");
  }
}

NftMachine::Expression NftMachine::decode(const std::string& name,
                                          const NetlinkAttributes& data) const {
  Expression made;
  const auto setNamed = [&](std::uint16_t type) {
    made.text = data.text(type);
    const auto found = table_.sets.find(made.text);
    if (found == table_.sets.end()) unknown("no set " + made.text);
    made.set = &found->second;
    made.length = made.set->keyLength;
  };
  if (name == "meta") {
    made.kind = Kind::kMeta;
    made.number = number(data, NFTA_META_KEY);
    if (made.number != NFT_META_NFPROTO && made.number != NFT_META_L4PROTO) unknown("a meta key");
    made.reg = number(data, NFTA_META_DREG);
  } else if (name == "payload") {
    made.kind = Kind::kPayload;
    made.number = number(data, NFTA_PAYLOAD_BASE);
    made.offset = number(data, NFTA_PAYLOAD_OFFSET);
    made.length = number(data, NFTA_PAYLOAD_LEN);
    made.reg = number(data, NFTA_PAYLOAD_DREG);
  } else if (name == "exthdr") {
    made.kind = Kind::kExtension;
    made.offset = number(data, NFTA_EXTHDR_OFFSET);
    made.length = number(data, NFTA_EXTHDR_LEN);
    made.reg = number(data, NFTA_EXTHDR_DREG);
  } else if (name == "bitwise") {
    made.kind = Kind::kBitwise;
    made.text = bytesOf(data, NFTA_BITWISE_MASK);
    made.reg = number(data, NFTA_BITWISE_SREG);
    if (made.reg != number(data, NFTA_BITWISE_DREG)) unknown("a bitwise of two registers");
  } else if (name == "cmp") {
    made.kind = Kind::kCompare;
    made.number = number(data, NFTA_CMP_OP);
    made.text = bytesOf(data, NFTA_CMP_DATA);
    made.reg = number(data, NFTA_CMP_SREG);
  } else if (name == "lookup") {
    made.kind = Kind::kLookup;
    setNamed(NFTA_LOOKUP_SET);
    made.reg = number(data, NFTA_LOOKUP_SREG);
  } else if (name == "dynset") {
    made.kind = Kind::kDynset;
    setNamed(NFTA_DYNSET_SET_NAME);
    made.reg = number(data, NFTA_DYNSET_SREG_KEY);
  } else if (name == "immediate") {
    made.kind = Kind::kImmediate;
    const auto verdict = data.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT);
    made.number = number(verdict, NFTA_VERDICT_CODE);
    made.text = verdict.text(NFTA_VERDICT_CHAIN);
  } else {
    unknown("the expression " + name);
  }
  return made;
}

NftMachine::Outcome NftMachine::runRule(const Rule& rule, const Packet& packet, bool& returned) {
  Registers registers;
  for (const Expression& one : rule) {
    switch (one.kind) {
      case Kind::kMeta: {
        const char family = packet.family == Family::kV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        const bool isFamily = one.number == NFT_META_NFPROTO;
        registers.store(one.reg,
                        std::string(1, isFamily ? family : static_cast<char>(packet.protocol)));
        break;
      }
      case Kind::kPayload:
      case Kind::kExtension: {
        const bool network = one.number == NFT_PAYLOAD_NETWORK_HEADER;
        const std::string& header = one.kind == Kind::kExtension ? packet.fragment
                                    : network                    ? packet.network
                                                                 : packet.transport;
        auto value = slice(header, one.offset, one.length);
        if (!value) return Outcome::kContinue;
        registers.store(one.reg, std::move(*value));
        break;
      }
      case Kind::kBitwise: {
        std::string value = registers.load(one.reg, one.text.size());
        for (std::size_t i = 0; i < value.size(); ++i) {
          value[i] = static_cast<char>(value[i] & one.text[i]);
        }
        registers.store(one.reg, std::move(value));
        break;
      }
      case Kind::kCompare: {
        const std::string value = registers.load(one.reg, one.text.size());
        const int order = std::memcmp(value.data(), one.text.data(), value.size());
        if (!compares(one.number, order)) return Outcome::kContinue;
        break;
      }
      case Kind::kLookup: {
        const std::string key = registers.load(one.reg, one.length);
        if (one.set->kind == net::NftSet::Kind::kDynamic) {
          if (!remembered_[one.text].contains(key)) return Outcome::kContinue;
          break;
        }
        const net::NftElement* found = find(*one.set, key);
        if (found == nullptr) return Outcome::kContinue;
        if (!found->chain.empty()) return follow(NFT_GOTO, found->chain, packet, returned);
        break;
      }
      case Kind::kDynset:
        remembered_[one.text].insert(registers.load(one.reg, one.length));
        break;
      case Kind::kImmediate:
        return follow(static_cast<std::int32_t>(one.number), one.text, packet, returned);
    }
  }
  return Outcome::kContinue;
}

}  // namespace podlab::policy
