#include "model/blas.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <unistd.h>

namespace orchard::model {
namespace {

// The one setting of OpenBLAS that can't be made by a call: it reads it when it is loaded.
constexpr char kCoreType[] = "OPENBLAS_CORETYPE";
// From us to ourselves: what was found before the restart.
constexpr char kRestartedFrom[] = "_ORCHARD_RESTARTED_FROM_KERNELS";

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

core::BlasKernels LoadedKernels() {
  core::BlasKernels kernels;
  // Looked up, as it isn't linked: Debian's alternatives say which BLAS is behind LibTorch.
  using CoreName = const char* (*)();
  void* const symbol = dlsym(RTLD_DEFAULT, "openblas_get_corename");
  if (symbol != nullptr) kernels.core = reinterpret_cast<CoreName>(symbol)();
  kernels.chosen = std::getenv(kCoreType) != nullptr;
  kernels.restarted_from = Variable(kRestartedFrom);
  unsetenv(kRestartedFrom);
  return kernels;
}

}  // namespace

core::KernelAdvice SettleBlasKernels(char** argv, const std::function<void()>& before_restart) {
  const core::BlasKernels kernels = LoadedKernels();
  core::KernelAdvice advice = core::AdviseOnKernels(kernels, core::ThisCpu());
  if (!advice.restart) return advice;
  if (before_restart) before_restart();
  setenv(kCoreType, advice.better.c_str(), /*overwrite=*/1);
  setenv(kRestartedFrom, kernels.core.c_str(), /*overwrite=*/1);
  // By its own path, so that the process keeps its name where processes are listed; that path is of
  // no use when the file was replaced since.
  std::error_code unread;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", unread);
  if (!unread) execv(program.c_str(), argv);
  execv("/proc/self/exe", argv);
  // It came back, so nothing has changed: go on slowly, and say so.
  unsetenv(kCoreType);
  unsetenv(kRestartedFrom);
  return advice;
}

}  // namespace orchard::model
