#include "client/modify.hpp"

#include <charconv>
#include <cstdint>

#include "api/arena_object.hpp"

namespace podlab::client {

std::uint64_t revisionOf(const google::protobuf::Message& object) {
  const auto& text = api::meta(object).resourceversion();
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool isNewer(const google::protobuf::Message& a, const api::ObjectPtr& b) {
  return b == nullptr || revisionOf(a) > revisionOf(*b);
}

Co<Result<api::ObjectPtr>> modify(api::Api& api, api::ResourceId id, api::ObjectPtr known,
                                  Change change) {
  return replace(api, std::move(id), std::move(known),
                 [change = std::move(change)](const google::protobuf::Message& object) {
                   auto changed = api::copyOf(object);
                   return change(*changed) ? changed : nullptr;
                 });
}

Co<Result<api::ObjectPtr>> replace(api::Api& api, api::ResourceId id, api::ObjectPtr known,
                                   Replacement replacement) {
  constexpr int kRounds = 8;
  api::ResourceId main = id;
  main.subresource.clear();
  Status conflict;
  for (int round = 0; round < kRounds; ++round) {
    if (known == nullptr) {
      auto read = co_await api.get(main);
      if (!read.ok()) co_return read.status();
      known = *read;
    }
    auto next = replacement(*known);
    if (next == nullptr) co_return known;
    api::WriteOptions options;
    auto written = co_await api.update(id, std::move(next), options);
    if (written.ok()) co_return written->object;
    if (!written.status().is(Code::kConflict)) co_return written.status();
    conflict = written.status();
    known = nullptr;
  }
  co_return conflict;
}

}  // namespace podlab::client
