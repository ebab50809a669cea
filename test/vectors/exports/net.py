# Writes the PyTorch files of this folder. PyTorch's own stack traces were taken out of net-dynamo.onnx.
import json
import torch
import torch.nn as nn

torch.manual_seed(7)
class Net(nn.Module):
    def __init__(s):
        super().__init__()
        s.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        s.pool = nn.MaxPool2d(2)
        s.dw = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False)
        s.bn = nn.BatchNorm2d(6)
        s.act = nn.ReLU6()
        s.pw = nn.Conv2d(6, 8, 1)
        s.short = nn.Conv2d(6, 8, 1, stride=2, bias=False)
        s.leaky = nn.LeakyReLU(0.1)
        s.gap = nn.AdaptiveAvgPool2d(1)
        s.fc = nn.Linear(8, 5)
    def forward(s, x):
        x = s.pool(s.stem(x))
        y = s.leaky(s.pw(s.act(s.bn(s.dw(x)))) + s.short(x))
        return s.fc(torch.flatten(s.gap(y), 1))
m = Net()
x = torch.randn(64, 3, 12, 12)
m.train()
for _ in range(3): m(x * 1.5 + 0.2)
m.eval()
x = torch.tensor([((i * 37) % 101) / 50 - 1 for i in range(2 * 432)]).reshape(2, 3, 12, 12)
with torch.no_grad(): y = m(x)
torch.save(m.state_dict(), 'net.pt')
torch.save(m.state_dict(), 'net-legacy.pth', _use_new_zipfile_serialization=False)
torch.save({'epoch': 3, 'state_dict': {'module.' + k: v for k, v in m.state_dict().items()}, 'best': 0.5}, 'net-checkpoint.pt')
torch.onnx.export(m, (x[:1],), 'net-script.onnx', dynamo=False, input_names=['x'], output_names=['y'], opset_version=17)
torch.onnx.export(m, (x[:1],), 'net-dynamo.onnx', dynamo=True, input_names=['x'], output_names=['y'], external_data=False)
json.dump({'by': 'torch ' + torch.__version__, 'logits': y.tolist()}, open('torch.json','w'))
