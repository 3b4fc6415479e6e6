#pragma once
#include "cli/context.hpp"

namespace podlab::cli {

/// Where loadCustomKinds() asks; `context` must outlive the commands.
void offerCustomKinds(const Context& context);

/// Knows the kinds of the lab's CustomResourceDefinitions from now on, for names that podlab's own
/// table does not have. Asks once. Nothing is told of a lab that cannot be asked: what needs it will
/// say so.
void loadCustomKinds();

}  // namespace podlab::cli
