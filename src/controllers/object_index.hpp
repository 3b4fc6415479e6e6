#pragma once
#include <functional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "client/informer.hpp"
#include "common/indexed_map.hpp"

namespace podlab::controllers {

/// Which objects of a cache have a property: a node, a claim, an owner.
class ObjectIndex {
 public:
  /// The properties of an object; they are read at each change.
  using PropertiesOf = std::function<std::vector<std::string>(const google::protobuf::Message&)>;

  /// Before the handlers of those who read it.
  ObjectIndex(client::Informer& objects, PropertiesOf propertiesOf);
  ObjectIndex(const ObjectIndex&) = delete;
  ObjectIndex& operator=(const ObjectIndex&) = delete;

  /// Keys, in order.
  std::vector<std::string> of(const std::string& property) const;

 private:
  void add(const std::vector<std::string>& properties, const std::string& key);
  void remove(const std::vector<std::string>& properties, const std::string& key);

  const PropertiesOf propertiesOf_;
  std::unordered_map<std::string, IndexedMap<std::monostate>> keys_;
};

/// For an index by owner: the uid of the object's controller, or what orphansOf() says.
std::vector<std::string> ownerOf(const google::protobuf::Message& object);
/// The property of the namespace's objects that have no controller.
std::string orphansOf(const std::string& ns);
/// For indices of pods, by node and by claim ("namespace/name").
std::vector<std::string> nodeOf(const google::protobuf::Message& pod);
std::vector<std::string> claimsOf(const google::protobuf::Message& pod);

}  // namespace podlab::controllers
