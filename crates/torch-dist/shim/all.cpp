// Every part of the shim except NCCL's, as one unit: most of the time is spent reading libtorch's headers, here once instead of four times.
#include "error.cpp"
#include "group.cpp"
#include "reducer.cpp"
#include "store.cpp"
