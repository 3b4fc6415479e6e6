#include "net/nft_table.hpp"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace podlab::net {
namespace {

static_assert(static_cast<int>(NftFamily::kInet) == NFPROTO_INET &&
              static_cast<int>(NftFamily::kBridge) == NFPROTO_BRIDGE);
constexpr std::uint32_t kVerdictType = 0xffffff00;  // NFT_DATA_VERDICT
constexpr unsigned kTypeBits = 6;                   // of one part in a key's type, as nft has it
constexpr std::size_t kElementsInAMessage = 500;    // of 64 KiB at most, each of up to 100 bytes
constexpr std::size_t kLongestComment = 120;        // NFT_USERDATA_MAXLEN is 256
constexpr std::uint8_t kCommentTag = 0;             // NFTNL_UDATA_RULE_COMMENT of libnftnl

/// For nft alone, which shows text the wrong way round without it: NFTNL_UDATA_SET_KEYBYTEORDER
/// (libnftnl) of four bytes, BYTEORDER_HOST_ENDIAN (libnftables).
constexpr std::string_view kTextKeys("\0\4\1\0\0\0", 6);

NetlinkMessage request(NftFamily family, std::uint16_t type, std::uint16_t flags,
                       std::string what) {
  NetlinkMessage message(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
                         std::move(what));
  message.header(nfgenmsg{static_cast<std::uint8_t>(family), NFNETLINK_V0, 0});
  return message;
}

void putNumber(NetlinkMessage& message, std::uint16_t type, std::uint32_t value) {
  message.put(type, htonl(value));
}

NetlinkMessage tableRequest(NftFamily family, std::uint16_t type, std::uint16_t flags,
                            const char* verb) {
  auto message =
      request(family, type, flags,
              std::string(verb) + (family == NftFamily::kInet ? " table inet " : " table bridge ") +
                  kNftTableName);
  message.put(NFTA_TABLE_NAME, std::string_view(kNftTableName));
  return message;
}

NetlinkMessage chainRequest(NftFamily family, std::uint16_t type, std::uint16_t flags,
                            const char* verb, const std::string& name) {
  auto message = request(family, type, flags, std::string(verb) + " chain " + name);
  message.put(NFTA_CHAIN_TABLE, std::string_view(kNftTableName))
      .put(NFTA_CHAIN_NAME, std::string_view(name));
  return message;
}

NetlinkMessage newChain(NftFamily family, const std::string& name, const NftChain& chain) {
  auto message = chainRequest(family, NFT_MSG_NEWCHAIN, NLM_F_CREATE, "add", name);
  if (!chain.hook) return message;
  message.nest(NFTA_CHAIN_HOOK, [&](NetlinkMessage& hook) {
    putNumber(hook, NFTA_HOOK_HOOKNUM, chain.hook->number);
    putNumber(hook, NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.hook->priority));
  });
  message.put(NFTA_CHAIN_TYPE, std::string_view("filter"));
  putNumber(message, NFTA_CHAIN_POLICY, NF_ACCEPT);
  return message;
}

NetlinkMessage flushChain(NftFamily family, const std::string& name) {
  auto message = request(family, NFT_MSG_DELRULE, 0, "flush chain " + name);
  message.put(NFTA_RULE_TABLE, std::string_view(kNftTableName))
      .put(NFTA_RULE_CHAIN, std::string_view(name));
  return message;
}

NetlinkMessage newRule(NftFamily family, const std::string& chain, const NftRule& rule) {
  auto message =
      request(family, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "add a rule to " + chain);
  message.put(NFTA_RULE_TABLE, std::string_view(kNftTableName))
      .put(NFTA_RULE_CHAIN, std::string_view(chain))
      .put(NLA_F_NESTED | NFTA_RULE_EXPRESSIONS, rule.expressions.data(), rule.expressions.size());
  if (!rule.comment.empty()) {
    const std::string text = rule.comment.substr(0, kLongestComment);
    std::string data{static_cast<char>(kCommentTag), static_cast<char>(text.size() + 1)};
    data += text + '\0';
    message.put(NFTA_RULE_USERDATA, data.data(), data.size());
  }
  return message;
}

std::uint32_t flagsOf(const NftSet& set) {
  switch (set.kind) {
    case NftSet::Kind::kKeys:
      return 0;
    case NftSet::Kind::kIntervals:
      return NFT_SET_INTERVAL;
    case NftSet::Kind::kVerdicts:
      return NFT_SET_MAP;
    case NftSet::Kind::kDynamic:
      return NFT_SET_EVAL | NFT_SET_TIMEOUT;
  }
  return 0;
}

NetlinkMessage newSet(NftFamily family, const std::string& name, const NftSet& set,
                      std::uint32_t id) {
  auto message = request(family, NFT_MSG_NEWSET, NLM_F_CREATE, "add set " + name);
  message.put(NFTA_SET_TABLE, std::string_view(kNftTableName))
      .put(NFTA_SET_NAME, std::string_view(name));
  putNumber(message, NFTA_SET_FLAGS, flagsOf(set));
  putNumber(message, NFTA_SET_KEY_TYPE, set.keyType);
  putNumber(message, NFTA_SET_KEY_LEN, set.keyLength);
  if (set.kind == NftSet::Kind::kVerdicts) putNumber(message, NFTA_SET_DATA_TYPE, kVerdictType);
  if (set.keyType == static_cast<std::uint32_t>(NftType::kLinkName))
    message.put(NFTA_SET_USERDATA, kTextKeys.data(), kTextKeys.size());
  putNumber(message, NFTA_SET_ID, id);
  if (set.size > 0) {
    message.nest(NFTA_SET_DESC, [&](NetlinkMessage& description) {
      putNumber(description, NFTA_SET_DESC_SIZE, set.size);
    });
  }
  return message;
}

NetlinkMessage deleteSet(NftFamily family, const std::string& name) {
  auto message = request(family, NFT_MSG_DELSET, 0, "delete set " + name);
  message.put(NFTA_SET_TABLE, std::string_view(kNftTableName))
      .put(NFTA_SET_NAME, std::string_view(name));
  return message;
}

void putElement(NetlinkMessage& list, const NftElement& element) {
  list.nest(NFTA_LIST_ELEM, [&](NetlinkMessage& item) {
    item.nest(NFTA_SET_ELEM_KEY, [&](NetlinkMessage& key) {
      key.put(NFTA_DATA_VALUE, element.key.data(), element.key.size());
    });
    if (!element.chain.empty()) {
      item.nest(NFTA_SET_ELEM_DATA, [&](NetlinkMessage& data) {
        data.nest(NFTA_DATA_VERDICT, [&](NetlinkMessage& verdict) {
          putNumber(verdict, NFTA_VERDICT_CODE, static_cast<std::uint32_t>(NFT_GOTO));
          verdict.put(NFTA_VERDICT_CHAIN, std::string_view(element.chain));
        });
      });
    }
    if (element.intervalEnd) {
      putNumber(item, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    }
  });
}

void appendElements(NftFamily family, NftGroup& out, std::uint16_t type, const std::string& set,
                    const std::vector<NftElement>& elements) {
  const bool adds = type == NFT_MSG_NEWSETELEM;
  for (std::size_t at = 0; at < elements.size(); at += kElementsInAMessage) {
    const std::size_t end = std::min(elements.size(), at + kElementsInAMessage);
    auto message = request(family, type, adds ? NLM_F_CREATE : 0,
                           (adds ? "add elements to set " : "delete elements of set ") + set);
    message.put(NFTA_SET_ELEM_LIST_TABLE, std::string_view(kNftTableName))
        .put(NFTA_SET_ELEM_LIST_SET, std::string_view(set));
    message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](NetlinkMessage& list) {
      for (std::size_t i = at; i < end; ++i) putElement(list, elements[i]);
    });
    out.push_back(std::move(message));
  }
}

std::vector<NftElement> without(const std::vector<NftElement>& elements,
                                const std::vector<NftElement>& others) {
  std::vector<NftElement> rest;
  std::ranges::set_difference(elements, others, std::back_inserter(rest));
  return rest;
}

/// Collects the requests by their time.
struct Plan {
  NftFamily family = NftFamily::kInet;
  std::vector<NftGroup> before;    ///< new sets and chains, which nothing uses yet
  std::vector<NftGroup> fillings;  ///< of new sets with verdicts, once there are the chains
  std::vector<NftGroup> switches;
  std::vector<NftGroup> after;
  std::uint32_t setIds = 0;

  static void addEach(std::vector<NftGroup>& phase, NftGroup messages) {
    for (auto& message : messages) phase.emplace_back().push_back(std::move(message));
  }
  std::vector<NftGroup> take() {
    auto groups = std::move(before);
    std::ranges::move(fillings, std::back_inserter(groups));
    std::ranges::move(switches, std::back_inserter(groups));
    std::ranges::move(after, std::back_inserter(groups));
    return groups;
  }
};

/// `present` is nullptr for a set that is not there.
void planSet(Plan& plan, const std::string& name, const NftSet* present, const NftSet& wanted) {
  const bool verdicts = wanted.kind == NftSet::Kind::kVerdicts;
  if (present == nullptr)
    plan.before.emplace_back().push_back(newSet(plan.family, name, wanted, ++plan.setIds));
  if (wanted.kind == NftSet::Kind::kDynamic) return;
  const std::vector<NftElement> none;
  const auto& old = present == nullptr ? none : present->elements;
  auto added = without(wanted.elements, old);
  auto gone = without(old, wanted.elements);
  NftGroup adds;
  appendElements(plan.family, adds, NFT_MSG_NEWSETELEM, name, added);
  NftGroup removals;
  appendElements(plan.family, removals, NFT_MSG_DELSETELEM, name, gone);
  const bool intervals = wanted.kind == NftSet::Kind::kIntervals;
  if (verdicts && present == nullptr) return Plan::addEach(plan.fillings, std::move(adds));
  if (verdicts || (intervals && present != nullptr)) {
    // A key's other verdict, and intervals that overlap, take the place of the old ones.
    if (added.empty() && gone.empty()) return;
    auto& group = plan.switches.emplace_back(std::move(removals));
    std::ranges::move(adds, std::back_inserter(group));
    return;
  }
  Plan::addEach(plan.before, std::move(adds));
  Plan::addEach(plan.after, std::move(removals));
}

/// One that is not what the name is to be, of an older podlab or of somebody else: all goes and
/// comes again, at once.
bool fits(const NftTable& actual, const NftTable& desired) {
  if (actual.family != desired.family) return false;
  const bool sets = std::ranges::all_of(desired.sets, [&](const auto& entry) {
    const auto found = actual.sets.find(entry.first);
    return found == actual.sets.end() || found->second.sameDefinition(entry.second);
  });
  return sets && std::ranges::all_of(desired.chains, [&](const auto& entry) {
           const auto found = actual.chains.find(entry.first);
           return found == actual.chains.end() || found->second.hook == entry.second.hook;
         });
}

}  // namespace

std::uint32_t nftKeyType(std::initializer_list<NftType> parts) {
  std::uint32_t type = 0;
  for (const NftType part : parts) type = type << kTypeBits | static_cast<std::uint32_t>(part);
  return type;
}

std::string nftKey(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.data()), address.size()};
}

std::string nftKey(const LinkName& link) {
  std::string key = link.name;
  key.resize(IFNAMSIZ);
  return key;
}

std::string nftKey(std::uint8_t number) {
  return {static_cast<char>(number), '\0', '\0', '\0'};
}

std::string nftKey(std::uint16_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff), '\0', '\0'};
}

bool NftSet::sameDefinition(const NftSet& other) const {
  return kind == other.kind && keyLength == other.keyLength && size == other.size;
}

std::vector<NftGroup> tableChanges(const std::optional<NftTable>& actual,
                                   const std::optional<NftTable>& desired) {
  std::vector<NftGroup> groups;
  if (!desired) {
    if (actual)
      groups.emplace_back().push_back(tableRequest(actual->family, NFT_MSG_DELTABLE, 0, "delete"));
    return groups;
  }
  if (actual && !fits(*actual, *desired)) {
    // One transaction, whatever its size.
    NftGroup& all = groups.emplace_back();
    for (auto&& part : {tableChanges(actual, std::nullopt), tableChanges(std::nullopt, desired)}) {
      for (const NftGroup& group : part) all.insert(all.end(), group.begin(), group.end());
    }
    return groups;
  }
  static const NftTable kEmpty;
  const NftTable& present = actual ? *actual : kEmpty;
  const NftFamily family = desired->family;
  Plan plan;
  plan.family = family;
  if (!actual) {
    plan.before.emplace_back().push_back(
        tableRequest(family, NFT_MSG_NEWTABLE, NLM_F_CREATE, "add"));
  }
  for (const auto& [name, set] : desired->sets) {
    const auto found = present.sets.find(name);
    planSet(plan, name, found == present.sets.end() ? nullptr : &found->second, set);
  }
  NftGroup newChains;
  NftGroup newRules;
  std::vector<NftGroup> refilled;
  for (const auto& [name, chain] : desired->chains) {
    const auto found = present.chains.find(name);
    if (found != present.chains.end() && found->second.rules == chain.rules) continue;
    NftGroup rules;
    for (const NftRule& rule : *chain.rules) rules.push_back(newRule(family, name, rule));
    if (found != present.chains.end()) {
      rules.insert(rules.begin(), flushChain(family, name));
      refilled.push_back(std::move(rules));
    } else if (chain.hook) {
      rules.insert(rules.begin(), newChain(family, name, chain));
      refilled.push_back(std::move(rules));
    } else {
      newChains.push_back(newChain(family, name, chain));
      std::ranges::move(rules, std::back_inserter(newRules));
    }
  }
  Plan::addEach(plan.before, std::move(newChains));
  Plan::addEach(plan.before, std::move(newRules));
  // The base chains' rules come before what sends packets elsewhere.
  std::ranges::move(plan.switches, std::back_inserter(refilled));
  plan.switches = std::move(refilled);

  std::vector<NetlinkMessage> flushed;
  std::vector<NetlinkMessage> deleted;
  for (const auto& [name, chain] : present.chains) {
    if (desired->chains.contains(name)) continue;
    // Chains that go may jump to each other.
    if (!chain.rules || !chain.rules->empty()) flushed.push_back(flushChain(family, name));
    deleted.push_back(chainRequest(family, NFT_MSG_DELCHAIN, 0, "delete", name));
  }
  Plan::addEach(plan.after, std::move(flushed));
  for (const auto& [name, set] : present.sets) {
    if (!desired->sets.contains(name)) plan.after.emplace_back().push_back(deleteSet(family, name));
  }
  Plan::addEach(plan.after, std::move(deleted));
  return plan.take();
}

}  // namespace podlab::net
