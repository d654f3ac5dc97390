/* Resizing 8-bit grey images. Bilinear, bicubic and nearest give the very bytes of Pillow's Image.resize() with the filter
 * of the same name (fixed-point coefficients with 22 bits, horizontal pass first; tests hold recorded bytes against it). */
#ifndef VGG11_DATA_RESIZE_H
#define VGG11_DATA_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "vgg11/base/status.h"

/* Longest side of a source or a target, pixels. */
enum { RESIZE_MAX_SIDE = 512 };

typedef struct resize_plan resize_plan;

typedef struct {
    const char *name;
    const char *good_when;
    vgg_status (*prepare)(resize_plan *plan);
    void (*apply)(const resize_plan *plan, const uint8_t *source, uint8_t *target);
} resize_filter;

/* The table of filters, ended by a row whose name is NULL: bilinear, bicubic, nearest, pad (zeros around the centred image). */
extern const resize_filter resize_filters[];

/* NULL if there is no such filter. */
const resize_filter *resize_find(const char *name);

/* Plans source_rows x source_columns -> target_rows x target_columns, each 1..RESIZE_MAX_SIDE, else VGG_BAD_OPTION. The
 * caller frees with resize_plan_free(). */
vgg_status resize_plan_create(const resize_filter *filter, int source_rows, int source_columns, int target_rows, int target_columns,
                              resize_plan **out);
void resize_plan_free(resize_plan *plan);

/* target[target_rows][target_columns] = resized source[source_rows][source_columns]. Safe from several threads at once. */
void resize_apply(const resize_plan *plan, const uint8_t *source, uint8_t *target);

#endif
