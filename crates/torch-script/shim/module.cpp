// TorchScript modules for Rust (src/ffi.rs).
//
// Every function that Rust calls is wrapped in `guard`, so that no exception leaves it. Such a function returns the error's text (to be freed with
// ts_string_free) or null, and gives results through pointers.
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <unordered_set>
#include <vector>

struct TsModule {
  torch::jit::Module module;
};

// The error text for when there is no memory to copy another one.
static char no_memory[] = "out of memory";

static char* copy(const char* text) noexcept {
  char* copied = strdup(text);
  return copied == nullptr ? no_memory : copied;
}

template <typename Body>
static char* guard(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return copy(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return copy(error.what());
  } catch (...) {
    return copy("an exception of unknown type");
  }
}

extern "C" {

void ts_string_free(char* text) {
  if (text != no_memory) std::free(text);
}

// Loads the module of an archive in memory onto a GPU, or with -1 onto the CPU.
char* ts_module_load(const char* bytes, size_t size, int32_t gpu, TsModule** loaded) {
  return guard([&] {
    std::istringstream stream(std::string(bytes, size));
    const c10::Device device = gpu < 0 ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu));
    *loaded = new TsModule{torch::jit::load(stream, device)};
  });
}

// Calls `each` for every parameter and buffer, in the order in which the module declares them. The tensor belongs to whoever is called.
char* ts_module_tensors(TsModule* module, void* context, void (*each)(void*, const char*, bool, at::Tensor*)) {
  return guard([&] {
    std::unordered_set<std::string> parameters, buffers;
    for (const auto& named : module->module.named_parameters()) parameters.insert(named.name);
    for (const auto& named : module->module.named_buffers()) buffers.insert(named.name);
    for (const auto& named : module->module.named_attributes()) {
      const bool is_buffer = buffers.count(named.name) != 0;
      if (!is_buffer && parameters.count(named.name) == 0) continue;
      each(context, named.name.c_str(), is_buffer, new at::Tensor(named.value.toTensor()));
    }
  });
}

char* ts_module_set_training(TsModule* module, bool on) {
  return guard([&] { module->module.train(on); });
}

char* ts_module_forward(TsModule* module, const at::Tensor* input, at::Tensor** output) {
  return guard([&] {
    // This is a setting of the calling thread. The optimizing executor rewrites a graph after some calls, which may change the rounding.
    torch::jit::setGraphExecutorOptimize(false);
    const torch::jit::IValue value = module->module.forward({*input});
    TORCH_CHECK(value.isTensor(), "its result is a ", value.tagKind(), ", and should be one tensor");
    *output = new at::Tensor(value.toTensor());
  });
}

void ts_module_free(TsModule* module) { delete module; }

}  // extern "C"
