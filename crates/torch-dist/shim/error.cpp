#include "shim.hpp"

// The error text for when there is no memory to copy another one.
static char no_memory[] = "out of memory";

char* td_copy(const char* text) noexcept {
  char* copy = strdup(text);
  return copy == nullptr ? no_memory : copy;
}

extern "C" void td_string_free(char* text) {
  if (text != no_memory) std::free(text);
}
