// Every part of the shim but NCCL's as one unit: most of the time goes into reading libtorch's headers, here once in place of four times.
#include "error.cpp"
#include "group.cpp"
#include "reducer.cpp"
#include "store.cpp"
