/* What conv_plan_run() does around a row's own run(). */
#ifndef VGG11_CONV_STAGING_H
#define VGG11_CONV_STAGING_H

#include "vgg11/conv/conv.h"

/* Workspace for the maps that the row does not read or write in the caller's form. */
size_t conv_staging_bytes(const conv_plan *plan);

#endif
