#include "net/nft_kernel.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <utility>

namespace podlab::net {
namespace {

// Every kind of message has the table's name as its first attribute (nf_tables.h).
constexpr std::uint16_t kTableName = NFTA_CHAIN_TABLE;
static_assert(kTableName == NFTA_TABLE_NAME && kTableName == NFTA_RULE_TABLE &&
              kTableName == NFTA_SET_TABLE && kTableName == NFTA_SET_ELEM_LIST_TABLE);

NetlinkMessage message(std::uint16_t type, std::string what) {
  NetlinkMessage made(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), 0,
                      std::move(what));
  made.header(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  return made;
}

NetlinkMessage batchMessage(std::uint16_t type) {
  NetlinkMessage made(type, 0, "nftables transaction");
  made.header(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
  return made;
}

/// nullopt: cut short, or not of podlab's table.
std::optional<NetlinkAttributes> ownAttributes(std::span<const std::byte> body) {
  nfgenmsg head;
  if (body.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, body.data(), sizeof head);
  NetlinkAttributes attributes(body.subspan(NLMSG_ALIGN(sizeof head)));
  if (head.nfgen_family != NFPROTO_INET || attributes.text(kTableName) != kNftTableName) {
    return std::nullopt;
  }
  return attributes;
}

std::uint32_t number(const NetlinkAttributes& attributes, std::uint16_t type) {
  return ntohl(attributes.number<std::uint32_t>(type));
}

NftChain chainOf(const NetlinkAttributes& attributes) {
  NftChain chain;
  chain.rules.reset();
  if (attributes.find(NFTA_CHAIN_HOOK)) {
    const auto hook = attributes.nested(NFTA_CHAIN_HOOK);
    chain.hook = {number(hook, NFTA_HOOK_HOOKNUM),
                  static_cast<std::int32_t>(number(hook, NFTA_HOOK_PRIORITY))};
  }
  return chain;
}

NftSet setOf(const NetlinkAttributes& attributes) {
  NftSet set;
  const std::uint32_t flags = number(attributes, NFTA_SET_FLAGS);
  if (flags & NFT_SET_EVAL) {
    set.kind = NftSet::Kind::kDynamic;
  } else if (flags & NFT_SET_MAP) {
    set.kind = NftSet::Kind::kVerdicts;
  } else if (flags & NFT_SET_INTERVAL) {
    set.kind = NftSet::Kind::kIntervals;
  }
  set.keyType = number(attributes, NFTA_SET_KEY_TYPE);
  set.keyLength = number(attributes, NFTA_SET_KEY_LEN);
  set.size = number(attributes.nested(NFTA_SET_DESC), NFTA_SET_DESC_SIZE);
  return set;
}

NftElement elementOf(const NetlinkAttributes& attributes) {
  NftElement element;
  const auto key = attributes.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE);
  if (key) element.key.assign(reinterpret_cast<const char*>(key->data()), key->size());
  element.chain =
      attributes.nested(NFTA_SET_ELEM_DATA).nested(NFTA_DATA_VERDICT).text(NFTA_VERDICT_CHAIN);
  element.intervalEnd = number(attributes, NFTA_SET_ELEM_FLAGS) & NFT_SET_ELEM_INTERVAL_END;
  return element;
}

Status readElements(NetlinkSocket& socket, const std::string& name, NftSet& set) {
  auto request = message(NFT_MSG_GETSETELEM, "read set " + name);
  request.put(NFTA_SET_ELEM_LIST_TABLE, std::string_view(kNftTableName))
      .put(NFTA_SET_ELEM_LIST_SET, std::string_view(name));
  auto receive = [&](std::uint16_t, std::span<const std::byte> body) {
    const auto own = ownAttributes(body);
    if (!own) return;
    own->nested(NFTA_SET_ELEM_LIST_ELEMENTS)
        .forEach([&](std::uint16_t, std::span<const std::byte> payload) {
          set.elements.push_back(elementOf(NetlinkAttributes(payload)));
        });
  };
  Status read = socket.dump(request, [&] { set.elements.clear(); }, receive);
  std::ranges::sort(set.elements);
  return read;
}

}  // namespace

Result<std::optional<NftTable>> readTable(NetlinkSocket& socket) {
  bool found = false;
  auto table = message(NFT_MSG_GETTABLE, "find the table");
  table.put(NFTA_TABLE_NAME, std::string_view(kNftTableName));
  Status status = socket.query(std::move(table),
                               [&](std::uint16_t, std::span<const std::byte>) { found = true; });
  if (!status && !status.is(Code::kNotFound)) return status;
  std::optional<NftTable> read;
  if (!found) return read;
  read.emplace();
  auto chains = [&](std::uint16_t, std::span<const std::byte> body) {
    if (auto own = ownAttributes(body)) read->chains[own->text(NFTA_CHAIN_NAME)] = chainOf(*own);
  };
  auto sets = [&](std::uint16_t, std::span<const std::byte> body) {
    if (auto own = ownAttributes(body)) read->sets[own->text(NFTA_SET_NAME)] = setOf(*own);
  };
  status =
      socket.dump(message(NFT_MSG_GETCHAIN, "read chains"), [&] { read->chains.clear(); }, chains);
  if (!status) return status;
  status = socket.dump(message(NFT_MSG_GETSET, "read sets"), [&] { read->sets.clear(); }, sets);
  if (!status) return status;
  for (auto& [name, set] : read->sets) {
    if (set.kind == NftSet::Kind::kDynamic) continue;
    if (status = readElements(socket, name, set); !status) return status;
  }
  return read;
}

Status applyChanges(NetlinkSocket& socket, std::vector<NftGroup> groups) {
  const NetlinkMessage begin = batchMessage(NFNL_MSG_BATCH_BEGIN);
  const NetlinkMessage end = batchMessage(NFNL_MSG_BATCH_END);
  const std::size_t frame = begin.bytes().size() + end.bytes().size();
  auto at = groups.begin();
  while (at != groups.end()) {
    std::vector<NetlinkMessage> transaction{begin};
    std::size_t size = frame;
    for (; at != groups.end(); ++at) {
      std::size_t more = 0;
      for (const NetlinkMessage& one : *at) more += one.bytes().size();
      if (size + more > socket.sendLimit() && transaction.size() > 1) break;
      size += more;
      std::ranges::move(*at, std::back_inserter(transaction));
    }
    transaction.push_back(end);
    if (Status status = socket.executeTransaction(std::move(transaction)); !status) {
      return status.withContext("nftables");
    }
  }
  return Status();
}

Result<std::uint32_t> nftGeneration(NetlinkSocket& socket) {
  std::uint32_t generation = 0;
  auto receive = [&](std::uint16_t, std::span<const std::byte> body) {
    if (body.size() < sizeof(nfgenmsg)) return;
    generation = number(NetlinkAttributes(body.subspan(sizeof(nfgenmsg))), NFTA_GEN_ID);
  };
  Status status = socket.query(message(NFT_MSG_GETGEN, "read nftables' generation"), receive);
  if (!status) return status;
  return generation;
}

bool isForeignNftEvent(const ReceivedMessage& event, std::uint32_t portId) {
  if (event.type >> 8 != NFNL_SUBSYS_NFTABLES || event.portId == portId) return false;
  return (event.type & 0xff) != NFT_MSG_NEWGEN && ownAttributes(event.body).has_value();
}

NftMonitor::NftMonitor(std::unique_ptr<NetlinkEvents> events, std::uint32_t portId)
    : events_(std::move(events)), portId_(portId) {}

Result<std::unique_ptr<NftMonitor>> NftMonitor::open(const asio::any_io_executor& executor,
                                                     const std::string& networkPath,
                                                     std::uint32_t portId) {
  constexpr int kGroups[] = {NFNLGRP_NFTABLES};
  auto events = NetlinkEvents::open(executor, networkPath, NETLINK_NETFILTER, kGroups,
                                    /*otherNamespaces=*/false);
  if (!events) return events.status();
  return std::unique_ptr<NftMonitor>(new NftMonitor(std::move(*events), portId));
}

Co<Result<NftMonitor::Change>> NftMonitor::next() {
  while (true) {
    bool foreign = false;
    auto lost = events_->drain([&](const ReceivedMessage& event, std::optional<int>) {
      foreign = foreign || isForeignNftEvent(event, portId_);
    });
    if (!lost) co_return lost.status();
    if (foreign) co_return Change::kForeign;
    if (*lost) co_return Change::kLost;
    co_await events_->wait();
  }
}

}  // namespace podlab::net
