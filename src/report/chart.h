/* Private to report: curves over the steps of a run, as a figure of HTML with SVG in it. */
#ifndef VGG11_REPORT_CHART_H
#define VGG11_REPORT_CHART_H

#include <stdbool.h>
#include <stdio.h>

#include "report/run_record.h"
#include "report/series.h"

enum { CHART_CURVES_MAX = 3 };

typedef struct {
    const char *name;   /* in the key */
    const series *rows; /* by step */
    int column;
    double scale;     /* what a value is multiplied by */
    size_t most;      /* points that are drawn; where there are more rows, each is the mean of neighbours */
    bool spread;      /* the least and the most of these neighbours are shown as well */
    bool dots;        /* each point has one, with its numbers for who points at it */
    const char *unit; /* of these numbers, with a space before it; or "" */
} chart_curve;

typedef struct {
    const char *title;
    const char *unit; /* at the upright axis */
    bool logarithmic; /* the upright axis */
    bool from_zero;   /* it begins there */
    double level;     /* a line across, dashed; 0 for none */
    const char *level_name;
    chart_curve curves[CHART_CURVES_MAX];
    int count;
} chart;

/* Along the steps of `record`, from 0 to the last. What is not finite has a gap. Names and units are the program's own texts; the key
 * stands above the plot. */
void chart_write(FILE *out, const chart *c, const run_record *record);

#endif
