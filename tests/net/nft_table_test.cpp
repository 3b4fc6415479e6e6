#include "net/nft_table.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "common/rng.hpp"
#include "net/nft_kernel.hpp"

namespace podlab::net {
namespace {

using ::testing::ElementsAre;

std::uint32_t number(const NetlinkAttributes& attributes, std::uint16_t type) {
  return ntohl(attributes.number<std::uint32_t>(type));
}

/// What nf_tables does with the requests of tableChanges(), and what it would refuse: names that
/// are not there or are there twice, and what is still in use.
class FakeNft {
 public:
  std::optional<NftTable> table;

  void apply(const std::vector<NftGroup>& groups) {
    for (const NftGroup& group : groups) {
      for (const NetlinkMessage& message : group) apply(message);
      if (table) expectConsistent();
    }
  }

 private:
  void apply(const NetlinkMessage& message) {
    auto bytes = message.bytes();
    const auto received = nextMessage(bytes);
    ASSERT_TRUE(received);
    ASSERT_EQ(received->type >> 8, NFNL_SUBSYS_NFTABLES);
    const NetlinkAttributes a(received->body.subspan(sizeof(nfgenmsg)));
    ASSERT_EQ(a.text(1), kNftTableName) << message.what();
    switch (received->type & 0xff) {
      case NFT_MSG_NEWTABLE:
        ASSERT_FALSE(table);
        table.emplace();
        return;
      case NFT_MSG_DELTABLE:
        table.reset();
        return;
      case NFT_MSG_NEWCHAIN:
        newChain(a);
        return;
      case NFT_MSG_DELCHAIN: {
        const std::string name = a.text(NFTA_CHAIN_NAME);
        ASSERT_TRUE(table->chains.contains(name)) << message.what();
        ASSERT_TRUE(table->chains[name].rules->empty()) << message.what();
        ASSERT_FALSE(chainIsUsed(name)) << message.what();
        table->chains.erase(name);
        return;
      }
      case NFT_MSG_NEWRULE:
        newRule(a);
        return;
      case NFT_MSG_DELRULE: {
        const std::string name = a.text(NFTA_RULE_CHAIN);
        ASSERT_TRUE(table->chains.contains(name)) << message.what();
        table->chains[name].rules->clear();
        return;
      }
      case NFT_MSG_NEWSET:
        newSet(a);
        return;
      case NFT_MSG_DELSET: {
        const std::string name = a.text(NFTA_SET_NAME);
        ASSERT_TRUE(table->sets.contains(name)) << message.what();
        ASSERT_FALSE(setIsUsed(name)) << message.what();
        table->sets.erase(name);
        return;
      }
      case NFT_MSG_NEWSETELEM:
        elements(a, true);
        return;
      case NFT_MSG_DELSETELEM:
        elements(a, false);
        return;
      default:
        FAIL() << message.what();
    }
  }

  void newChain(const NetlinkAttributes& a) {
    NftChain chain;
    if (a.find(NFTA_CHAIN_HOOK)) {
      const auto hook = a.nested(NFTA_CHAIN_HOOK);
      chain.hook = {number(hook, NFTA_HOOK_HOOKNUM),
                    static_cast<std::int32_t>(number(hook, NFTA_HOOK_PRIORITY))};
      EXPECT_EQ(a.text(NFTA_CHAIN_TYPE), "filter");
    }
    ASSERT_TRUE(table->chains.emplace(a.text(NFTA_CHAIN_NAME), chain).second);
  }

  void newRule(const NetlinkAttributes& a) {
    NftRule rule;
    const auto expressions = a.find(NFTA_RULE_EXPRESSIONS);
    ASSERT_TRUE(expressions);
    rule.expressions.assign(reinterpret_cast<const char*>(expressions->data()),
                            expressions->size());
    if (const auto data = a.find(NFTA_RULE_USERDATA)) {
      ASSERT_GE(data->size(), 3u);
      EXPECT_EQ(std::to_integer<std::size_t>((*data)[1]), data->size() - 2);
      rule.comment.assign(reinterpret_cast<const char*>(data->data()) + 2, data->size() - 3);
    }
    const std::string chain = a.text(NFTA_RULE_CHAIN);
    ASSERT_TRUE(table->chains.contains(chain));
    table->chains[chain].rules->push_back(std::move(rule));
  }

  void newSet(const NetlinkAttributes& a) {
    NftSet set;
    const std::uint32_t flags = number(a, NFTA_SET_FLAGS);
    set.kind = flags & NFT_SET_EVAL       ? NftSet::Kind::kDynamic
               : flags & NFT_SET_MAP      ? NftSet::Kind::kVerdicts
               : flags & NFT_SET_INTERVAL ? NftSet::Kind::kIntervals
                                          : NftSet::Kind::kKeys;
    set.keyType = number(a, NFTA_SET_KEY_TYPE);
    set.keyLength = number(a, NFTA_SET_KEY_LEN);
    set.size = number(a.nested(NFTA_SET_DESC), NFTA_SET_DESC_SIZE);
    ASSERT_TRUE(a.find(NFTA_SET_ID));
    ASSERT_TRUE(table->sets.emplace(a.text(NFTA_SET_NAME), set).second);
  }

  void elements(const NetlinkAttributes& a, bool add) {
    const std::string name = a.text(NFTA_SET_ELEM_LIST_SET);
    ASSERT_TRUE(table->sets.contains(name));
    auto& set = table->sets[name].elements;
    a.nested(NFTA_SET_ELEM_LIST_ELEMENTS)
        .forEach([&](std::uint16_t, std::span<const std::byte> payload) {
          const NetlinkAttributes one(payload);
          NftElement element;
          const auto key = one.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE);
          ASSERT_TRUE(key);
          element.key.assign(reinterpret_cast<const char*>(key->data()), key->size());
          element.chain =
              one.nested(NFTA_SET_ELEM_DATA).nested(NFTA_DATA_VERDICT).text(NFTA_VERDICT_CHAIN);
          element.intervalEnd = number(one, NFTA_SET_ELEM_FLAGS) & NFT_SET_ELEM_INTERVAL_END;
          const auto same = std::ranges::find(set, element);
          if (add) {
            ASSERT_EQ(std::ranges::find(set, element.key, &NftElement::key), set.end());
            set.insert(std::ranges::upper_bound(set, element), element);
          } else {
            ASSERT_NE(same, set.end());
            set.erase(same);
          }
        });
  }

  // Tests name what a rule refers to in its comment: "set" or "chain", and the name.
  bool refers(const std::string& what) const {
    return std::ranges::any_of(table->chains, [&](const auto& entry) {
      return std::ranges::any_of(*entry.second.rules,
                                 [&](const NftRule& rule) { return rule.comment == what; });
    });
  }
  bool setIsUsed(const std::string& name) const { return refers("set " + name); }
  bool chainIsUsed(const std::string& name) const {
    return refers("chain " + name) || std::ranges::any_of(table->sets, [&](const auto& entry) {
             return std::ranges::any_of(entry.second.elements, [&](const NftElement& element) {
               return element.chain == name;
             });
           });
  }
  /// After each group, nothing leads to what is not there.
  void expectConsistent() const {
    for (const auto& [name, chain] : table->chains) {
      for (const NftRule& rule : *chain.rules) {
        const auto space = rule.comment.find(' ');
        const std::string kind = rule.comment.substr(0, space);
        const std::string target = rule.comment.substr(space + 1);
        if (kind == "set") {
          EXPECT_TRUE(table->sets.contains(target)) << target;
        } else if (kind == "chain") {
          EXPECT_TRUE(table->chains.contains(target)) << target;
        }
      }
    }
    for (const auto& [name, set] : table->sets) {
      for (const NftElement& element : set.elements) {
        if (!element.chain.empty()) {
          EXPECT_TRUE(table->chains.contains(element.chain)) << element.chain;
        }
      }
    }
  }
};

std::string textOf(const std::optional<NftTable>& table) {
  std::string text;
  if (!table) return "none";
  for (const auto& [name, chain] : table->chains) {
    text += name + (chain.hook ? " (base):" : ":");
    for (const NftRule& rule : *chain.rules) text += " <" + rule.comment + ">";
    text += "\n";
  }
  for (const auto& [name, set] : table->sets) {
    text += name + " of kind " + std::to_string(static_cast<int>(set.kind)) + ":";
    for (const NftElement& element : set.elements) {
      text += " " + std::to_string(element.key.front()) + "." +
              std::to_string(int{element.key.back()}) + element.chain +
              (element.intervalEnd ? "end" : "");
    }
    text += "\n";
  }
  return text;
}

std::string anyKey(Rng& rng) {
  return {static_cast<char>(rng.below(2)), '\0', '\0', static_cast<char>(rng.below(30))};
}

std::optional<NftTable> randomTable(Rng& rng) {
  if (rng.chance(0.1)) return std::nullopt;
  NftTable table;
  for (char name = 'a'; name < 'i'; ++name) {
    if (rng.chance(0.4)) continue;
    table.chains["chain-" + std::string(1, name)];
  }
  for (char name = 'a'; name < 'h'; ++name) {
    if (rng.chance(0.4)) continue;
    NftSet& set = table.sets["set-" + std::string(1, name)];
    set.keyLength = 4;
    // The kind goes with the name, but for a few that change.
    set.kind = static_cast<NftSet::Kind>((name - 'a' + (rng.chance(0.02) ? 1 : 0)) % 4);
    if (set.kind == NftSet::Kind::kDynamic) {
      set.size = 100;
      continue;
    }
    for (std::uint64_t n = rng.below(40); n > 0; --n) {
      NftElement element{anyKey(rng)};
      if (set.kind == NftSet::Kind::kVerdicts) {
        if (table.chains.empty()) break;
        element.chain = std::next(table.chains.begin(),
                                  static_cast<std::ptrdiff_t>(rng.below(table.chains.size())))
                            ->first;
      }
      if (set.kind == NftSet::Kind::kIntervals) element.intervalEnd = rng.chance(0.5);
      set.elements.push_back(element);
    }
    std::ranges::sort(set.elements);
    const auto [first, last] = std::ranges::unique(set.elements, {}, &NftElement::key);
    set.elements.erase(first, last);
  }
  const auto names = [&](const auto& map) {
    std::vector<std::string> all;
    for (const auto& [name, value] : map) all.push_back(name);
    return all;
  };
  const auto chains = names(table.chains);
  const auto sets = names(table.sets);
  for (auto& [name, chain] : table.chains) {
    for (std::uint64_t n = rng.below(4); n > 0; --n) {
      NftRuleWriter writer;
      std::string comment;
      if (rng.chance(0.5) && !sets.empty()) {
        const auto& set = sets[rng.below(sets.size())];
        comment = "set " + set;
        writer.load(PacketField::source(Family::kV4)).isIn(set).accept();
      } else {
        const auto& target = chains[rng.below(chains.size())];
        comment = "chain " + target;
        writer.jump(target);
      }
      chain.rules->push_back(writer.rule(comment));
    }
  }
  if (rng.chance(0.7)) table.chains["base"].hook = NftHook{NF_INET_FORWARD, 0};
  return table;
}

class Changes : public testing::TestWithParam<int> {};

// From any state to any other, whether or not the rules of the first are known.
TEST_P(Changes, GiveTheDesiredTable) {
  constexpr int kSteps = 40;
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  FakeNft kernel;
  for (int step = 0; step < kSteps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const auto desired = randomTable(rng);
    auto known = kernel.table;
    if (known && rng.chance(0.3)) {
      for (auto& [name, chain] : known->chains) chain.rules.reset();
    }
    kernel.apply(tableChanges(known, desired));
    ASSERT_EQ(textOf(kernel.table), textOf(desired));
    ASSERT_TRUE(kernel.table == desired);
    EXPECT_TRUE(tableChanges(kernel.table, desired).empty());
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Changes, testing::Range(0, 30));

TEST(NftTable, AnElementMoreIsOneRequest) {
  NftTable table;
  NftSet& set = table.sets["s"];
  set.keyLength = 4;
  for (std::uint8_t i = 0; i < 200; ++i) {
    set.elements.push_back({nftKey(IpAddress::v4({10, 0, 0, i}))});
  }
  NftTable more = table;
  more.sets["s"].elements.push_back({nftKey(IpAddress::v4({10, 0, 1, 0}))});
  const auto groups = tableChanges(table, more);
  ASSERT_EQ(groups.size(), 1u);
  ASSERT_EQ(groups[0].size(), 1u);
  EXPECT_LT(groups[0][0].bytes().size(), 100u);
}

TEST(NftTable, ManyElementsAreSeveralRequests) {
  NftTable table;
  NftSet& set = table.sets["s"];
  set.keyLength = 16;
  const IpAddress first = *IpAddress::parse("fd00::1");
  for (std::uint64_t i = 0; i < 3000; ++i) set.elements.push_back({nftKey(first.plus(i))});
  FakeNft kernel;
  kernel.apply(tableChanges(std::nullopt, table));
  EXPECT_EQ(kernel.table, table);
}

TEST(NftRule, TheBytesOfARule) {
  // As `nft --debug=all add rule inet t c tcp dport 80 accept` sends them, but for registers.
  const std::string bytes =
      NftRuleWriter().isProtocol(IPPROTO_TCP).isPort(80, 80).accept().rule().expressions;
  const NetlinkAttributes list(std::as_bytes(std::span(bytes.data(), bytes.size())));
  std::vector<std::string> names;
  list.forEach([&](std::uint16_t type, std::span<const std::byte> payload) {
    EXPECT_EQ(type, NFTA_LIST_ELEM);
    names.push_back(NetlinkAttributes(payload).text(NFTA_EXPR_NAME));
  });
  EXPECT_THAT(names, ElementsAre("meta", "cmp", "payload", "cmp", "immediate"));
}

TEST(NftKeys, AreInNetworkOrderAndPadded) {
  EXPECT_EQ(nftKey(std::uint16_t{0x1f90}), std::string("\x1f\x90\0\0", 4));
  EXPECT_EQ(nftKey(std::uint8_t{6}), std::string("\x06\0\0\0", 4));
  EXPECT_EQ(nftKey(IpAddress::v4({10, 1, 2, 3})), std::string("\x0a\x01\x02\x03", 4));
  EXPECT_EQ(nftKeyType({NftType::kIpv4, NftType::kProtocol, NftType::kPort}),
            (7u << 12) | (12u << 6) | 13u);
}

TEST(NftEvents, OnlyOthersChangesOfOurTableCount) {
  const auto event = [](std::uint8_t type, std::uint8_t family, std::string_view table,
                        std::uint32_t port) {
    NetlinkMessage message(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), 0, "");
    message.header(nfgenmsg{family, NFNETLINK_V0, 0}).put(NFTA_RULE_TABLE, table);
    auto bytes = message.bytes();
    auto received = *nextMessage(bytes);
    received.portId = port;
    return isForeignNftEvent(received, 7);
  };
  EXPECT_TRUE(event(NFT_MSG_DELRULE, NFPROTO_INET, kNftTableName, 8));
  EXPECT_TRUE(event(NFT_MSG_NEWSETELEM, NFPROTO_INET, kNftTableName, 0));
  EXPECT_FALSE(event(NFT_MSG_DELRULE, NFPROTO_INET, kNftTableName, 7));
  EXPECT_FALSE(event(NFT_MSG_DELRULE, NFPROTO_INET, "docker", 8));
  EXPECT_FALSE(event(NFT_MSG_DELRULE, NFPROTO_IPV4, kNftTableName, 8));
  ReceivedMessage cut;
  cut.type = NFNL_SUBSYS_NFTABLES << 8;
  EXPECT_FALSE(isForeignNftEvent(cut, 7));
}

}  // namespace
}  // namespace podlab::net
