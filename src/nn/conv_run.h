/* What conv_plan_run() does around a row's own run(). */
#ifndef VGG11_NN_CONV_RUN_H
#define VGG11_NN_CONV_RUN_H

#include "vgg11/nn/conv.h"

/* Workspace for the maps that the row does not read or write in the caller's form. */
size_t conv_detour_bytes(const conv_plan *plan);

#endif
