#pragma once

namespace podlab {

/// Returns free memory of the heap to the system, as malloc does by itself only at the heap's end
/// (malloc_trim(3)). Takes some 10 ms for 100 MB: after much has been freed at once.
void releaseFreeMemory();

}  // namespace podlab
