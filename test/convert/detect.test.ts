// What a file is, by its bytes.
import { zipSync } from 'fflate'
import { expect, test } from 'vitest'
import { detectFormat, type FileFormat } from '../../src/convert/detect.js'
import { writeSafetensors } from '../../src/model/safetensors.js'
import { ascii, npy, pickle, storage, torchLegacy, torchZip, view } from './encode.js'

const data = storage('0', 'Float', Float32Array.of(1, 2))
const dict = (legacy: boolean) => new Map([['w', view({ of: data, shape: [2], strides: [1] }, legacy)]])
const text = (value: string) => Uint8Array.from(ascii(value))
const array = npy('<f4', [1], Float32Array.of(1))
const tar = new Uint8Array(512)
tar.set(ascii('ustar'), 257)
/** ir_version 8, producer_name "x", a graph named "g", an opset import. */
const onnx = Uint8Array.of(0x08, 8, 0x12, 1, 0x78, 0x3a, 3, 0x12, 1, 0x67, 0x42, 2, 0x10, 13)

const files: readonly (readonly [string, Uint8Array, FileFormat | undefined])[] = [
  ['safetensors', writeSafetensors(new Map([['a', { shape: [1], data: Float32Array.of(1) }]])), 'safetensors'],
  ['legacy torch', torchLegacy(dict(true), [data]), 'torch'],
  ['legacy torch, pickle protocol 4', torchLegacy(dict(true), [data], 4), 'torch'],
  ['zip torch', torchZip(dict(false), [data]), 'torch'],
  ['TorchScript', zipSync({ 'm/data.pkl': array, 'm/code/a.py': array, 'm/constants.pkl': array }), 'torchscript'],
  ['torch before 0.2', tar, 'torch-tar'],
  ['npy', array, 'npy'],
  ['npz', zipSync({ 'a.npy': array }), 'npz'],
  ['other zip', zipSync({ 'a.txt': array }), 'zip'],
  ['damaged zip', zipSync({ 'a.npy': array }).subarray(0, 40), 'zip'],
  ['relu-spec pickle', pickle(new Map([['stem', [[1, 1]]]]), 3), 'pickle'],
  ['onnx', onnx, 'onnx'],
  ['onnx cut short', onnx.subarray(0, 11), undefined],
  ['tfjs', text('{"format": "layers-model", "modelTopology": {}, "weightsManifest": []}'), 'tfjs'],
  ['arch', text('\n {"format": "arch/1"}'), 'json'],
  ['not quite JSON', text('{"format": '), undefined],
  ['hdf5', text('\x89HDF\r\n\x1a\n..'), 'hdf5'],
  ['keras', zipSync({ 'config.json': array, 'model.weights.h5': array }), 'keras'],
  ['torch.export', zipSync({ 'm/models/model.json': array, 'm/archive_format': array }), 'torch-export'],
  ['nothing', new Uint8Array(0), undefined],
  ['text', text('hello'), undefined],
]

test.each(files)('%s', (_, file, format) => {
  expect(detectFormat(file)).toBe(format)
})

test('no damage makes it throw', () => {
  for (const [, file] of files) {
    for (let at = 0; at < Math.min(file.length, 400); at++) {
      const broken = Uint8Array.from(file)
      broken[at] ^= 0xff
      detectFormat(broken)
      detectFormat(file.subarray(0, at))
    }
  }
})
