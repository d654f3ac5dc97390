/* Staging: what conv_plan_run() does around a row's own run(). */
#ifndef VGG11_CONV_STAGING_H
#define VGG11_CONV_STAGING_H

#include "vgg11/conv/conv.h"

/* Bytes of workspace for copies of the maps whose form is not the one that the row reads or writes. */
size_t conv_staging_bytes(const conv_plan *plan);

#endif
