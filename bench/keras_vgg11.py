#!/usr/bin/env python3
"""The training step of vgg11_dist in Keras on TensorFlow: a peer of compare_peers.py, on one rank.

bf16 is the policy mixed_bfloat16.
"""
import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # read when Keras is imported

import keras
import tensorflow

import peer


def build_network():
    layers = [keras.Input((peer.SIDE, peer.SIDE, 1))]
    for width in peer.WIDTHS:
        layers.append(keras.layers.MaxPooling2D(2) if width == "pool" else
                      keras.layers.Conv2D(width, 3, padding="same", activation="relu"))
    layers.append(keras.layers.Flatten())
    layers += [keras.layers.Dense(width, activation="relu") for width in peer.DENSE[:-1]]
    layers += [keras.layers.Dense(peer.DENSE[-1]), keras.layers.Activation("linear", dtype="float32")]
    return keras.Sequential(layers)


class KerasPeer:
    version = f"Keras {keras.__version__} (TensorFlow {tensorflow.__version__})"

    @staticmethod
    def add_options(parser):
        parser.add_argument("--jit-compile", action="store_true", help="compile the step with XLA")
        parser.add_argument("--inter-op", action="store_true",
                            help="run as many operations at once as there are threads; otherwise one after the other")

    def __init__(self, options):
        tensorflow.config.threading.set_intra_op_parallelism_threads(options.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(options.threads if options.inter_op else 1)
        keras.utils.set_random_seed(0)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if options.precision == "bf16" else "float32")
        self.network = build_network()
        self.optimizer = keras.optimizers.SGD(options.lr, momentum=peer.MOMENTUM, nesterov=True,
                                              global_clipnorm=peer.CLIP_NORM)
        self.optimizer.build(self.network.trainable_variables)
        self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.wants_norm = options.check is not None
        self.step = tensorflow.function(self.run_step, jit_compile=options.jit_compile)

    def load(self, weights, velocity):
        for variable, value in zip(self.network.trainable_variables, weights):
            variable.assign(value)
        for variable, value in zip(self.optimizer.momentums, velocity):
            variable.assign(value)

    def tensors(self, images, labels):
        return tensorflow.constant(images), tensorflow.constant(labels)

    def run_step(self, images, labels):
        variables = self.network.trainable_variables
        with tensorflow.GradientTape() as tape:
            loss = self.loss(labels, self.network(images, training=True))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        norm = tensorflow.linalg.global_norm(gradients) if self.wants_norm else 0.0
        self.optimizer.apply(gradients, variables)
        return loss, norm


if __name__ == "__main__":
    peer.main(KerasPeer, __doc__)
