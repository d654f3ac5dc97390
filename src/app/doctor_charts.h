/* What doctor measured, for the eye: as text, and as pictures. */
#ifndef VGG11_APP_DOCTOR_CHARTS_H
#define VGG11_APP_DOCTOR_CHARTS_H

#include "vgg11/doctor/steps.h"

/* On standard output: what comes through each layer, the range test of the learning rate, and the batch that was learned by heart. */
void doctor_charts_print(const doctor_measures *measures);

/* layers.png and rates.png in `folder`, which is made if it is not there, by gnuplot. That gnuplot is missing or fails is a warning;
 * VGG_IO_ERROR if there can be no such folder. */
vgg_status doctor_charts_draw(const doctor_measures *measures, const char *folder);

#endif
