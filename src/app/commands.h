/* Private to app: the functions of the commands, one file each. */
#ifndef VGG11_APP_COMMANDS_H
#define VGG11_APP_COMMANDS_H

#include "app/options/options.h"

vgg_status cmd_train(comm *c, const options *o);
vgg_status cmd_eval(comm *c, const options *o);
vgg_status cmd_predict(comm *c, const options *o);
vgg_status cmd_export(comm *c, const options *o);
vgg_status cmd_show(comm *c, const options *o);
vgg_status cmd_report(comm *c, const options *o);
vgg_status cmd_doctor(comm *c, const options *o);
vgg_status cmd_compare(comm *c, const options *o);
vgg_status cmd_bench(comm *c, const options *o);
vgg_status cmd_info(comm *c, const options *o);

#endif
