#include "common/free_memory.hpp"

#include <malloc.h>

namespace podlab {

void releaseFreeMemory() {
  malloc_trim(0);
}

}  // namespace podlab
