// Stands in for a header of gloo, see README.md.
#pragma once
