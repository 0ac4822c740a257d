"""A classifier to begin with, fitted to what a pretrained network makes of the training pictures as they are.

A fresh one is wrong about everything at first, and its gradients bend features that were good (linear probing, then
fine-tuning: Kumar et al. 2022, arXiv:2202.10054).
"""

from typing import cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from train.data import Pictures
from train.predict import predict

_MOST_STEPS = 300  # of L-BFGS


def fit_classifier(network: nn.Module, pictures: Pictures) -> None:
    """Puts logistic regression on the features of `pictures` into `network.classifier`, an nn.Linear.

    A class without a picture keeps its fresh weights. Nothing is done for pictures of a single class.
    """
    classifier = cast(nn.Linear, network.classifier)
    classes = np.unique(pictures.targets)
    if len(classes) < 2:
        return
    features, _ = predict(network, pictures.pixels)
    found = LogisticRegression(max_iter=_MOST_STEPS).fit(features, pictures.targets)
    weight, bias = found.coef_, found.intercept_
    if len(classes) == 2:  # it gives the second class's score over the first's
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    with torch.no_grad():
        classifier.weight[classes] = torch.from_numpy(weight).to(classifier.weight)
        classifier.bias[classes] = torch.from_numpy(bias).to(classifier.bias)
