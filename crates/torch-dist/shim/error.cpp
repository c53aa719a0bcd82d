#include "shim.hpp"

// What is said when there is no memory to say it with.
static char no_memory[] = "out of memory";

char* td_copy(const char* text) noexcept {
  char* copy = strdup(text);
  return copy == nullptr ? no_memory : copy;
}

extern "C" void td_string_free(char* text) {
  if (text != no_memory) std::free(text);
}
