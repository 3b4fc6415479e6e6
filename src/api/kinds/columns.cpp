#include "api/age.hpp"
#include "api/kinds/rows.hpp"

namespace podlab::api {

Column nameColumn() {
  return {"Name", 0,
          [](const google::protobuf::Message& object, WallTime) { return meta(object).name(); }};
}

Column ageColumn() {
  return {"Age", 0, [](const google::protobuf::Message& object, WallTime now) {
            return ageOf(meta(object).creationtimestamp(), now);
          }};
}

}  // namespace podlab::api
