#include "node/volume_payload.hpp"

#include <utility>

namespace podlab::node {
namespace {

/// Fills a payload from one source after the other.
class Builder {
 public:
  Builder(const ObjectLookup& objects, const DownwardValues& values, std::int32_t defaultMode)
      : objects_(objects), values_(values), defaultMode_(defaultMode) {}

  template <typename Source>
  Status addConfigMap(const Source& source) {
    auto object = find(api::kindFor<corev1::ConfigMap>(), source.localobjectreference().name(),
                       source.optional());
    if (!object.ok()) return object.status();
    std::map<std::string, std::string> data;
    if (*object != nullptr) {
      const auto& map = api::as<corev1::ConfigMap>(*object);
      data.insert(map.data().begin(), map.data().end());
      data.insert(map.binarydata().begin(), map.binarydata().end());
    }
    return addKeys(data, source.items(), source.optional(),
                   "configmap references non-existent config key: ");
  }

  template <typename Source>
  Status addSecret(const std::string& name, const Source& source) {
    auto object = find(api::kindFor<corev1::Secret>(), name, source.optional());
    if (!object.ok()) return object.status();
    std::map<std::string, std::string> data;
    if (*object != nullptr) {
      const auto& secret = api::as<corev1::Secret>(*object);
      data.insert(secret.data().begin(), secret.data().end());
    }
    return addKeys(data, source.items(), source.optional(), "references non-existent secret key: ");
  }

  template <typename Files>
  Status addDownward(const Files& files) {
    for (const corev1::DownwardAPIVolumeFile& file : files) {
      auto value = file.has_fieldref() ? values_.field(file.fieldref().fieldpath())
                                       : values_.resource(file.resourcefieldref());
      if (!value.ok()) return value.status();
      put(file.path(), *std::move(value), file.has_mode(), file.mode());
    }
    return {};
  }

  Status addToken(const corev1::ServiceAccountTokenProjection& wanted) {
    auto token = values_.token(wanted);
    if (!token.ok()) return token.status();
    put(wanted.path(), *std::move(token), false, 0);
    return {};
  }

  Payload take() { return std::move(payload_); }

 private:
  /// nullptr: not there, and optional.
  Result<api::ObjectPtr> find(const api::Kind& kind, const std::string& name, bool optional) {
    auto found = objects_(kind, name);
    if (!found.ok() && optional && found.status().is(Code::kNotFound)) return api::ObjectPtr();
    return found;
  }

  template <typename Items>
  Status addKeys(const std::map<std::string, std::string>& data, const Items& items, bool optional,
                 const char* missing) {
    if (items.empty()) {
      for (const auto& [key, value] : data) put(key, value, false, 0);
      return {};
    }
    for (const corev1::KeyToPath& item : items) {
      const auto value = data.find(item.key());
      if (value != data.end()) {
        put(item.path(), value->second, item.has_mode(), item.mode());
      } else if (!optional) {
        return {Code::kNotFound, missing + item.key()};
      }
    }
    return {};
  }

  void put(const std::string& path, std::string content, bool hasMode, std::int32_t mode) {
    payload_[path] = {std::move(content),
                      static_cast<std::uint32_t>(hasMode ? mode : defaultMode_)};
  }

  const ObjectLookup& objects_;
  const DownwardValues& values_;
  const std::int32_t defaultMode_;
  Payload payload_;
};

Status addParts(Builder& builder, const corev1::ProjectedVolumeSource& source) {
  for (const auto& part : source.sources()) {
    Status added;
    if (part.has_configmap()) added = builder.addConfigMap(part.configmap());
    if (part.has_secret())
      added = builder.addSecret(part.secret().localobjectreference().name(), part.secret());
    if (part.has_downwardapi()) added = builder.addDownward(part.downwardapi().items());
    if (part.has_serviceaccounttoken()) added = builder.addToken(part.serviceaccounttoken());
    if (!added.ok()) return added;
  }
  return {};
}

}  // namespace

bool hasPayload(const corev1::VolumeSource& source) {
  return source.has_configmap() || isPayloadSecret(source);
}

bool isPayloadSecret(const corev1::VolumeSource& source) {
  return source.has_secret() || source.has_downwardapi() || source.has_projected();
}

Result<Payload> buildPayload(const corev1::VolumeSource& source, const ObjectLookup& objects,
                             const DownwardValues& values) {
  constexpr std::int32_t kMode = 0644;
  const auto build = [&](const auto& files, auto add) -> Result<Payload> {
    Builder builder(objects, values, files.has_defaultmode() ? files.defaultmode() : kMode);
    if (Status added = add(builder); !added.ok()) return added;
    return builder.take();
  };
  if (source.has_configmap()) {
    return build(source.configmap(),
                 [&](Builder& builder) { return builder.addConfigMap(source.configmap()); });
  }
  if (source.has_secret()) {
    return build(source.secret(), [&](Builder& builder) {
      return builder.addSecret(source.secret().secretname(), source.secret());
    });
  }
  if (source.has_downwardapi()) {
    return build(source.downwardapi(), [&](Builder& builder) {
      return builder.addDownward(source.downwardapi().items());
    });
  }
  return build(source.projected(),
               [&](Builder& builder) { return addParts(builder, source.projected()); });
}

}  // namespace podlab::node
