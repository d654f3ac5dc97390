/* Private to the files of the row direct-bf16-amx. */
#ifndef VGG11_NN_CONV_BF16_AMX_H
#define VGG11_NN_CONV_BF16_AMX_H

#include "vgg11/kernels/amx.h"
#include "vgg11/conv/conv.h"

/* Fills the plan of any pass, whose products `kernels` will make. */
vgg_status bf16_amx_plan(conv_plan *plan, const amx_kernels *kernels);

/* Of a weight gradient, which has a file of its own. */
void bf16_amx_plan_weights(conv_plan *plan);

static inline const amx_kernels *bf16_amx_kernels(const conv_plan *plan) { return plan->state; }

/* How many products of tiles a pass over `images` images makes. */
double bf16_amx_products(const conv_problem *problem, conv_pass pass, int images);

#endif
