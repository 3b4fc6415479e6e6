#pragma once
// Inside src/lab only: what the fields of nodes of every sort must be like.
#include <string>
#include <vector>

#include "cluster_config.pb.h"

#include "common/status.hpp"

namespace podlab::lab {

/// `path` goes before the fields' names.
void checkQuantity(const std::string& field, const std::string& text, std::vector<Cause>& causes);
void checkMaxPods(int maxPods, const std::string& path, std::vector<Cause>& causes);
void checkLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 const std::string& path, std::vector<Cause>& causes);
void checkTaints(const google::protobuf::RepeatedPtrField<k8s::io::api::core::v1::Taint>& taints,
                 const std::string& path, std::vector<Cause>& causes);

}  // namespace podlab::lab
