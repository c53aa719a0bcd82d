#include "shim.hpp"

char* td_copy(const char* text) noexcept {
  return strdup(text);
}

extern "C" void td_string_free(char* text) {
  std::free(text);
}
