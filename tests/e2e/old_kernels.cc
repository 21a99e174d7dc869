// Preloaded: what OpenBLAS says of itself on a CPU that is younger than it. It takes its oldest
// kernels, unless the environment names others; with STUBBORN_KERNELS set even then.

#include <cstdlib>

extern "C" const char* openblas_get_corename() {
  const bool told = std::getenv("OPENBLAS_CORETYPE") != nullptr;
  return told && std::getenv("STUBBORN_KERNELS") == nullptr ? "Haswell" : "Prescott";
}
