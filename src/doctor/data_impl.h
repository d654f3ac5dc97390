/* Private to doctor: the parts of doctor_check_data(). */
#ifndef VGG11_DOCTOR_DATA_IMPL_H
#define VGG11_DOCTOR_DATA_IMPL_H

#include "vgg11/doctor/data.h"

/* Whether all pixels of image `index` are the same. */
bool doctor_image_is_flat(const dataset *set, size_t index);

/* Holds labels against images, and the test images against those of training. */
void doctor_check_labels(const dataset *train, const dataset *test, doctor_findings *findings);

#endif
