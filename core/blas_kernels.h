#pragma once

#include <string>

/// \file
/// OpenBLAS chooses its kernels by the model number of the CPU. One that is younger than the
/// library gets the oldest kernels there are, whatever it can do
/// (docs/decisions/0011-openblas-gets-kernels-of-the-cpus-age.md). Pure, except for ThisCpu().

namespace orchard::core {

/// What kernels are written for.
struct CpuFeatures {
  bool avx2 = false;    ///< AVX2 and FMA
  bool avx512 = false;  ///< AVX-512 F, CD, BW, DQ and VL: a server's set since Skylake
};

/// Of the CPU that we run on. All false where it isn't an x86.
CpuFeatures ThisCpu();

/// How OpenBLAS came to its kernels.
struct BlasKernels {
  std::string core;            ///< as OpenBLAS names them: "Prescott"; empty: no OpenBLAS
  bool chosen = false;         ///< the environment names them (OPENBLAS_CORETYPE)
  std::string restarted_from;  ///< what it took before we started the program again; or empty
};

/// What to do about them.
struct KernelAdvice {
  bool restart = false;  ///< start the program again with OPENBLAS_CORETYPE=`better`
  bool slow = false;     ///< they are and stay older than the CPU
  std::string better;    ///< a value for OPENBLAS_CORETYPE; empty: these suit the CPU
  std::string message;   ///< one sentence for the log: what, and the remedy; empty: nothing to say
};

/// Kernels that know no AVX2 on a CPU that has it are slow. What the environment names is never
/// overruled, only told; and nobody restarts twice. A core that we don't know is well: a later
/// OpenBLAS may have better ones than we know of.
KernelAdvice AdviseOnKernels(const BlasKernels& kernels, const CpuFeatures& cpu);

}  // namespace orchard::core
