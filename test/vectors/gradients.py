# Writes gradients.json: values and gradients of every trained op, and of the loss, as PyTorch computes them in double
# precision. Inputs, weights and seeds are drawn as test/gradient/numbers.ts draws them and are not in the file.
import json

import numpy as np
import torch
import torch.nn.functional as F

PICTURES = 2


def numbers(shape, seed):
    state = (seed * 0x9E3779B1) % 2**32
    out = []
    for _ in range(int(np.prod(shape))):
        state = ((state ^ (state >> 15)) * 0x2C1B3C6D + 0x297A2D39) % 2**32
        out.append(state / 2**31 - 1)
    return torch.tensor(np.array(out, dtype=np.float32).reshape(shape), dtype=torch.float64)


def pictures(shape, seed):
    return torch.stack([numbers(shape, seed + p) for p in range(PICTURES)])


def flat(t):
    return [float(f'{v:.6g}') for v in t.detach().reshape(-1).tolist()]


def gate(x, block):
    # The sign of a block's mean, through which nothing flows.
    h, w = block
    with torch.no_grad():
        mean = F.avg_pool2d(x, (h, w), ceil_mode=True, count_include_pad=False)
        bits = (mean >= 0).to(x.dtype).repeat_interleave(h, 2).repeat_interleave(w, 3)
    return bits[:, :, : x.shape[2], : x.shape[3]]


def blocks(x, _, sides=((1, 1), (2, 2), (0, 1), (1, 0))):
    parts = []
    for c, (h, w) in enumerate(sides):
        one = x[:, c : c + 1]
        parts.append(one if h == 0 else one * 0 if w == 0 else one * gate(one, (h, w)))
    return torch.cat(parts, 1)


MASK = torch.tensor([1.0 if i % 5 < 3 else 0.0 for i in range(80)], dtype=torch.float64).reshape(1, 4, 4, 5)
conv = lambda **k: (lambda x, w: F.conv2d(x, w['weight'], w.get('bias'), **k))
norm = lambda t: (lambda x, w: F.batch_norm(x, w['running_mean'], w['running_var'], w['weight'], w['bias'], t))


def pad(x, by):
    top, left, bottom, right = by
    return F.pad(x, (left, right, top, bottom))


M = [4, 4, 5]
C = {'op': 'conv2d', 'bias': True}
# name, shape, the layer, its tensors in the order in which they are drawn, what it computes; then spec and norm.
CASES = [
    ('convolution', M, {**C, 'cout': 3, 'kernel': [3, 3], 'pad': [1] * 4}, {'weight': [3, 4, 3, 3], 'bias': [3]}, conv(padding=1)),
    ('strided convolution', M, {**C, 'cout': 3, 'kernel': [3, 3], 'stride': [2, 2], 'pad': [1] * 4, 'bias': False}, {'weight': [3, 4, 3, 3]}, conv(padding=1, stride=2)),
    ('dilated, unevenly padded convolution', M, {**C, 'cout': 2, 'kernel': [2, 3], 'dilation': [2, 1], 'pad': [2, 0, 1, 3]}, {'weight': [2, 4, 2, 3], 'bias': [2]},
     lambda x, w: F.conv2d(pad(x, (2, 0, 1, 3)), w['weight'], w['bias'], dilation=(2, 1))),
    ('grouped convolution', M, {**C, 'cout': 4, 'kernel': [3, 3], 'groups': 2, 'pad': [1] * 4}, {'weight': [4, 2, 3, 3], 'bias': [4]}, conv(padding=1, groups=2)),
    ('depthwise convolution', M, {**C, 'cout': 4, 'kernel': [3, 3], 'groups': 4, 'stride': [2, 1], 'pad': [1] * 4}, {'weight': [4, 1, 3, 3], 'bias': [4]}, conv(padding=1, groups=4, stride=(2, 1))),
    ('1x1 convolution', M, {**C, 'cout': 3, 'kernel': [1, 1]}, {'weight': [3, 4, 1, 1], 'bias': [3]}, conv()),
    ('matrix', [7], {'op': 'linear', 'cout': 5}, {'weight': [5, 7], 'bias': [5]}, lambda x, w: F.linear(x, w['weight'], w['bias'])),
    ('batch norm', M, {'op': 'batchNorm'}, {'weight': [4], 'bias': [4], 'running_mean': [4], 'running_var': [4]}, norm(True)),
    ('batch norm, running', M, {'op': 'batchNorm'}, {'weight': [4], 'bias': [4], 'running_mean': [4], 'running_var': [4]}, norm(False), None, 'running'),
    ('channel scale', M, {'op': 'channelScale'}, {'weight': [4]}, lambda x, w: x * w['weight'][:, None, None]),
    ('ReLU', M, {'op': 'relu'}, {}, lambda x, w: F.relu(x)),
    ('clip', M, {'op': 'clip', 'min': -0.3, 'max': 0.4}, {}, lambda x, w: F.hardtanh(x, -0.3, 0.4)),
    ('leaky ReLU', M, {'op': 'leakyRelu', 'slope': 0.2}, {}, lambda x, w: F.leaky_relu(x, 0.2)),
    ('PReLU', M, {'op': 'prelu'}, {'weight': [4]}, lambda x, w: F.prelu(x, w['weight'])),
    ('block ReLU, identity, zero', M, {'op': 'relu'}, {}, blocks, {'kind': 'block', 'blocks': [[1, 1], [2, 2], [0, 1], [1, 0]]}),
    ('mask, others passed on', M, {'op': 'relu'}, {}, lambda x, w: MASK * F.relu(x) + (1 - MASK) * x, {'kind': 'mask', 'off': 'identity'}),
    ('mask, others zero', M, {'op': 'relu'}, {}, lambda x, w: MASK * F.relu(x), {'kind': 'mask', 'off': 'zero'}),
    ('average pool', M, {'op': 'avgPool', 'kernel': [3, 2], 'stride': [2, 2], 'pad': [1] * 4}, {}, lambda x, w: F.avg_pool2d(x, (3, 2), 2, 1)),
    ('average pool, padding not counted', M, {'op': 'avgPool', 'kernel': [3, 3], 'stride': [2, 2], 'pad': [1] * 4, 'countPad': False}, {}, lambda x, w: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    ('global average', M, {'op': 'globalAvgPool'}, {}, lambda x, w: x.mean((2, 3))),
    ('maximum pool', M, {'op': 'maxPool', 'kernel': [3, 3], 'stride': [2, 2], 'pad': [1] * 4}, {}, lambda x, w: F.max_pool2d(x, 3, 2, 1)),
    ('bilinear resize', M, {'op': 'resize', 'size': [7, 8], 'mode': 'bilinear'}, {}, lambda x, w: F.interpolate(x, (7, 8), mode='bilinear')),
    ('nearest resize', M, {'op': 'resize', 'size': [8, 10], 'mode': 'nearest'}, {}, lambda x, w: F.interpolate(x, (8, 10))),
    ('padding', M, {'op': 'pad', 'pad': [1, -1, 2, 3], 'fill': 0.5}, {}, lambda x, w: F.pad(x, (-1, 3, 1, 2), value=0.5)),
    ('subsample', M, {'op': 'subsample', 'stride': [2, 3], 'offset': [1, 0]}, {}, lambda x, w: x[:, :, 1::2, ::3]),
    ('shortcut with channels of zeros', M, {'op': 'shortcutA', 'stride': [2, 2], 'padChannels': [1, 3]}, {}, lambda x, w: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 3))),
    ('zero', M, {'op': 'zero'}, {}, lambda x, w: x * 0),
    ('sum', M, {'op': 'add', 'in': ['x', 'x', 'x']}, {}, lambda x, w: x + x + x),
    ('concatenation', [2, 3, 3], {'op': 'concat', 'in': ['x', 'x']}, {}, lambda x, w: torch.cat([x, x], 1)),
    ('weighted sum', [2, 3, 3], {'op': 'weightedSum', 'coef': 'c', 'in': ['x', 'x', 'x']}, {'coef': [3]}, lambda x, w: x * w['coef'].sum()),
]


def softmax_sum():
    # Of three values, by softmax weights: two 1x1 convolutions and their input.
    layers = [
        {**C, 'cout': 2, 'kernel': [1, 1], 'bias': False},
        {**C, 'cout': 2, 'kernel': [1, 1], 'bias': False, 'in': ['x']},
        {'op': 'weightedSum', 'coef': 'c', 'norm': 'softmax', 'in': ['x', 'l0', 'l1']},
    ]
    tensors = [{'weight': [2, 2, 1, 1]}, {'weight': [2, 2, 1, 1]}, {'coef': [3]}]

    def value(x, w):
        a = torch.softmax(w[2]['coef'], 0)
        return a[0] * x + a[1] * F.conv2d(x, w[0]['weight']) + a[2] * F.conv2d(x, w[1]['weight'])

    return 'softmax sum of paths', [2, 3, 3], layers, tensors, value


def case(name, shape, layers, tensors, value, spec=None, norm='batch'):
    drawn = []
    for i, own in enumerate(tensors):
        one = {n: numbers(s, 10 * i + t + 1) for t, (n, s) in enumerate(own.items())}
        if 'running_var' in one:
            one['running_var'] = 1 + one['running_var'] / 2
        drawn.append({n: v.requires_grad_(not n.startswith('running')) for n, v in one.items()})
    x = pictures(shape, 100).requires_grad_()
    y = value(x, drawn)
    seeds = torch.stack([numbers(y.shape[1:], 200 + p) for p in range(PICTURES)])
    (y * seeds).sum().backward()
    gradients = {f'l{i}': {n: flat(v.grad) for n, v in own.items() if v.requires_grad} for i, own in enumerate(drawn) if own}
    out = {'name': name, 'shape': shape, 'layers': layers, 'values': flat(y), 'inputs': flat(x.grad), 'gradients': gradients}
    return {**out, **({'spec': spec} if spec else {}), **({'norm': norm} if norm != 'batch' else {})}


def loss():
    logits, teacher, label, t = numbers([7], 1) * 3, numbers([7], 2) * 3, 4, 4.0
    logits.requires_grad_()
    hard = F.cross_entropy(logits[None], torch.tensor([label]), label_smoothing=0.1)
    soft = F.kl_div(F.log_softmax(logits / t, 0), F.softmax(teacher / t, 0), reduction='sum') * t * t
    total = hard + 0.5 * soft
    total.backward()
    return {'label': label, 'temperature': t, 'smoothing': 0.1, 'distill': 0.5, 'loss': float(f'{total.item():.9g}'), 'seed': flat(logits.grad)}


one = lambda name, shape, layer, tensors, value, *rest: case(name, shape, [layer], [tensors], lambda x, w: value(x, w[0]), *rest)
made = {'by': 'torch ' + torch.__version__, 'pictures': PICTURES, 'loss': loss(), 'cases': [*(one(*c) for c in CASES), case(*softmax_sum())]}
with open('gradients.json', 'w') as file:
    file.write(json.dumps(made, separators=(',', ':')).replace('{"name"', '\n{"name"') + '\n')
