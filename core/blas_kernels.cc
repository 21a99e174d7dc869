#include "core/blas_kernels.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace orchard::core {
namespace {

/// OpenBLAS's x86 kernels that know no AVX2 (its driver/others/dynamic.c has the names).
constexpr std::array<std::string_view, 21> kWithoutAvx2 = {
    "Generic",   "Katmai", "Coppermine", "Northwood",   "Prescott",  "Banias",     "Atom",
    "Core2",     "Penryn", "Dunnington", "Nehalem",     "Athlon",    "Opteron",    "Opteron_SSE3",
    "Barcelona", "Bobcat", "Nano",       "Sandybridge", "Bulldozer", "Piledriver", "Steamroller"};

bool WithoutAvx2(std::string_view core) {
  return std::ranges::any_of(kWithoutAvx2, [core](std::string_view name) {
    return absl::EqualsIgnoreCase(std::string(name), std::string(core));
  });
}

}  // namespace

CpuFeatures ThisCpu() {
#if defined(__x86_64__)
  // Asks whether the system saves these registers, too.
  return {.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
          .avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl")};
#else
  return {};
#endif
}

KernelAdvice AdviseOnKernels(const BlasKernels& kernels, const CpuFeatures& cpu) {
  KernelAdvice advice;
  if (!kernels.restarted_from.empty()) {
    advice.message = absl::StrCat(
        "OpenBLAS does not know this CPU and took its kernels for \"", kernels.restarted_from,
        "\"; started again with OPENBLAS_CORETYPE=", absl::AsciiStrToUpper(kernels.core),
        ", which set beforehand saves the second start");
  }
  if (!cpu.avx2 || !WithoutAvx2(kernels.core)) return advice;
  advice.better = cpu.avx512 ? "SKYLAKEX" : "HASWELL";
  advice.restart = !kernels.chosen && kernels.restarted_from.empty();
  advice.slow = true;
  advice.message = absl::StrCat("OpenBLAS computes with its kernels for \"", kernels.core,
                                "\", which are older than this CPU and slow; set "
                                "OPENBLAS_CORETYPE=",
                                advice.better);
  return advice;
}

}  // namespace orchard::core
