#include "vgg11/base/clock.h"
#include "vgg11/base/log.h"
#include "vgg11/doctor/data.h"

void doctor_warn(const shared_dataset *train, const shared_dataset *test, const normalization *pixels)
{
    doctor_findings findings = {.count = 0};
    double start = clock_now_s();
    doctor_check_data(&train->set, &test->set, &findings);
    if (!doctor_data_is_void(&findings)) doctor_check_scale(pixels, train->histogram, &findings);
    vgg_log(VGG_LOG_DEBUG, "looked at the data for %.1f ms", 1e3 * (clock_now_s() - start));
    const doctor_finding *first = &findings.list[0];
    if (findings.count == 0 || first->sureness == DOCTOR_POSSIBLE) return;
    vgg_log(VGG_LOG_WARNING, "%s; vgg11_dist doctor, with the same options, says more", first->what);
}
