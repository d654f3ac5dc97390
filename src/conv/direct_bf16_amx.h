/* Private to the files of the row direct-bf16-amx. */
#ifndef VGG11_CONV_DIRECT_BF16_AMX_H
#define VGG11_CONV_DIRECT_BF16_AMX_H

#include "vgg11/kernels/amx.h"
#include "vgg11/conv/conv.h"

/* Fills the plan of any pass, whose products `kernels` will make. VGG_DECLINED where the row does not do what plan->problem
 * asks. */
vgg_status direct_bf16_amx_plan(conv_plan *plan, const amx_kernels *kernels);

/* Fills the plan of a weight gradient (direct_bf16_amx_weight_grad.c), whose state is set. */
void direct_bf16_amx_plan_weight_grad(conv_plan *plan);

static inline const amx_kernels *direct_bf16_amx_kernels(const conv_plan *plan) { return plan->state; }

/* How many products of matrix tiles a pass over `images` images makes. */
double direct_bf16_amx_products(const conv_problem *problem, conv_pass pass, int images);

/* The upper left pixel of pooling window `index` of a map of side x side pixels. */
static inline int window_pixel(int side, int index) { return index / (side / 2) * 2 * side + index % (side / 2) * 2; }

#endif
