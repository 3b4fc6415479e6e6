#include <charconv>
#include <utility>

#include "api/custom/custom_object.hpp"
#include "api/selectors.hpp"
#include "api/status_conversion.hpp"
#include "apiserver/registry.hpp"
#include "apiserver/scale.hpp"
#include "apiserver/shown_watch.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::int64_t kScanPage = 500;

std::string keyOf(const std::string& ns, const std::string& name) {
  return ns.empty() ? name : ns + "/" + name;
}

Result<Filter> makeFilter(const api::ResourceId& collection, const std::string& labelSelector,
                          const std::string& fieldSelector) {
  const api::Kind& kind = *collection.kind;
  auto labels = api::LabelSelector::parse(labelSelector);
  if (!labels) return labels.status();
  auto fields = api::FieldSelector::parse(kind, fieldSelector);
  if (!fields) return fields.status();
  Filter filter;
  filter.ns = collection.ns;
  if (const auto* name = fields->requiredValue("metadata.name")) filter.name = *name;
  if (const auto* node = fields->requiredValue("spec.nodeName")) filter.nodeName = *node;
  if (labels->empty() && fields->empty()) return filter;
  filter.matches = [labels = std::move(*labels),
                    fields = std::move(*fields)](const google::protobuf::Message& object) {
    return (labels.empty() || labels.matches(api::meta(object).labels())) &&
           (fields.empty() || fields.matches(object));
  };
  return filter;
}

/// A resourceVersion of a request; 0 for "" and "0".
Result<store::Revision> parseRevision(const std::string& text) {
  store::Revision revision = 0;
  if (text.empty()) return revision;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (error != std::errc() || end != text.data() + text.size() || revision < 0) {
    return Status(Code::kBadRequest, "resourceVersion: Invalid value: \"" + text +
                                         "\": must be a decimal number, as in an earlier answer");
  }
  return revision;
}

/// Where a chunked list goes on: the snapshot's revision and the last key, URL-safe.
struct ContinueToken {
  store::Revision revision = 0;
  std::string key;

  std::string encode() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text = std::to_string(revision) + ".";
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
    return text;
  }

  static Result<ContinueToken> decode(const std::string& text) {
    const Status malformed(Code::kBadRequest,
                           "continue key is not valid: take it from the answer before");
    const std::size_t dot = text.find('.');
    if (dot == std::string::npos || (text.size() - dot) % 2 == 0) return malformed;
    const auto revision = parseRevision(text.substr(0, dot));
    if (!revision || *revision == 0) return malformed;
    ContinueToken token{*revision, ""};
    for (std::size_t i = dot + 1; i < text.size(); i += 2) {
      unsigned value = 0;
      const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
      if (error != std::errc() || end != text.data() + i + 2) return malformed;
      token.key += static_cast<char>(value);
    }
    return token;
  }
};

/// Whether a custom kind has the subresource; "" is the object itself.
bool servesSubresource(const api::Kind& kind, const std::string& subresource) {
  return subresource.empty() || (subresource == "status" && kind.strategy.hasStatus) ||
         (subresource == "scale" && kind.strategy.scaling);
}

api::ListItem inVersionOf(const api::Kind& kind, api::PackedPtr stored) {
  if (&kind.resourceKind() == &kind) return stored;
  return api::inVersionOf(kind, stored->decode());
}

}  // namespace

api::ObjectPtr Registry::find(const api::Kind& kind, const std::string& ns,
                              const std::string& name) const {
  return api::inVersionOf(kind, cache_.of(kind).get(keyOf(ns, name)));
}

Result<api::ObjectPtr> Registry::get(const api::ResourceId& id) const {
  if (id.kind->custom && !servesSubresource(*id.kind, id.subresource))
    return Status(Code::kNotFound, "the server could not find the requested resource");
  auto object = find(*id.kind, id.ns, id.name);
  if (!object) return api::notFound(*id.kind, id.name);
  return &id.kind->seenThrough(id.subresource) == id.kind ? object : scaleOf(*id.kind, *object);
}

Co<Result<api::ListResult>> Registry::list(api::ResourceId collection, api::ListOptions options) {
  auto filter = makeFilter(collection, options.labelSelector, options.fieldSelector);
  if (!filter) co_return filter.status();
  if (!options.continueToken.empty()) {
    co_return co_await listPage(std::move(collection), std::move(*filter), std::move(options));
  }
  const auto atLeast = parseRevision(options.resourceVersion);
  if (!atLeast) co_return atLeast.status();
  const store::Revision revision = cache_.revision();
  if (*atLeast > revision) {
    co_return Status(Code::kTimeout, "Too large resource version: " + options.resourceVersion +
                                         ", current: " + std::to_string(revision));
  }
  api::ListResult result;
  result.resourceVersion = std::to_string(revision);
  std::string lastKey;
  std::int64_t remaining = 0;
  const auto limit = static_cast<std::size_t>(options.limit);
  cache_.of(*collection.kind)
      .forEach(*filter, [&](const std::string& key, const api::ListItem& object) {
        if (limit > 0 && result.items.size() == limit) {
          ++remaining;
          return !filter->matches;  // without a selector, count what is left
        }
        result.items.push_back(inVersionOf(*collection.kind, object.packed()));
        if (limit > 0) lastKey = key;
        return true;
      });
  if (remaining > 0) {
    result.continueToken = ContinueToken{revision, lastKey}.encode();
    if (!filter->matches) result.remainingItemCount = remaining;
  }
  co_return result;
}

// The later chunks of a list show the snapshot of the first, so they come from the store.
Co<Result<api::ListResult>> Registry::listPage(api::ResourceId collection, Filter filter,
                                               api::ListOptions options) {
  const auto token = ContinueToken::decode(options.continueToken);
  if (!token) co_return token.status();
  const std::string prefix = storePrefix(*collection.kind);
  const std::string scope = collection.ns.empty() ? prefix : prefix + collection.ns + "/";
  const auto limit = static_cast<std::size_t>(options.limit);
  std::string lastKey = prefix + token->key;
  store::RangeRequest page{"", store::prefixEnd(scope), kScanPage, token->revision};
  api::ListResult result;
  result.resourceVersion = std::to_string(token->revision);
  while (true) {
    page.start = lastKey + '\0';
    auto range = co_await store_.range(page);
    if (!range && range.status().is(Code::kExpired)) {
      co_return Status(Code::kExpired,
                       "The provided continue parameter is too old to display a consistent list "
                       "result. Start the list again without it.");
    }
    if (!range) co_return range.status();
    std::size_t left = range->items.size();
    for (const auto& kv : range->items) {
      if (limit > 0 && result.items.size() == limit) {
        result.continueToken =
            ContinueToken{token->revision, lastKey.substr(prefix.size())}.encode();
        if (!filter.matches) {
          result.remainingItemCount = static_cast<std::int64_t>(left) + range->remaining;
        }
        co_return result;
      }
      --left;
      lastKey = kv.key;
      // What has not changed since is shared with the cache.
      const auto& kind = *collection.kind;
      auto packed = cache_.of(kind).find(std::string_view(kv.key).substr(prefix.size()));
      if (!packed || packed->revision() != kv.modRevision) {
        packed = WatchCache::pack(kind.resourceKind(), kv);
        if (!packed->decode()) {
          co_return Status(Code::kInternal, "the stored value of " + kv.key + " is damaged");
        }
      }
      api::ListItem item = inVersionOf(kind, std::move(packed));
      // A copy is looked at: what is listed stays packed.
      if (filter.matches && !filter.matches(*api::ListItem(item))) continue;
      result.items.push_back(std::move(item));
    }
    if (range->remaining == 0) co_return result;
  }
}

Result<std::unique_ptr<api::Watch>> Registry::watch(const api::ResourceId& collection,
                                                    const api::WatchOptions& options) {
  auto filter = makeFilter(collection, options.labelSelector, options.fieldSelector);
  if (!filter) return filter.status();
  const auto after = parseRevision(options.resourceVersion);
  if (!after) return after.status();
  KindCache& cache = cache_.of(*collection.kind);
  if (*after > cache_.revision()) {
    // Only a store that has been made anew is behind a client.
    return Status(Code::kExpired, "Too large resource version: " + options.resourceVersion +
                                      ", current: " + std::to_string(cache_.revision()));
  }
  using Opened = Result<std::unique_ptr<api::Watch>>;
  auto opened = *after == 0 || options.sendInitialEvents
                    ? Opened(cache.watchFromNow(std::move(*filter), cache_.revision(), options))
                    : cache.watchFrom(std::move(*filter), *after, options);
  if (!opened || &collection.kind->resourceKind() == collection.kind) return opened;
  auto show = [kind = collection.kind](const api::ObjectPtr& object) {
    return api::inVersionOf(*kind, object);
  };
  return makeShownWatch(std::move(*opened), show);
}

}  // namespace podlab::apiserver
