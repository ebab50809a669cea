// Writes the TensorFlow.js files of this folder.
import * as tfl from '@tensorflow/tfjs-layers'; import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'; import fs from 'fs'
const L = tfl.layers
const input = tfl.input({ shape: [12, 12, 3] })
let c = L.conv2d({ filters: 6, kernelSize: 3, strides: 2, padding: 'same', useBias: false, kernelInitializer: tfl.initializers.heNormal({seed: 1}), name: 'c1' }).apply(input)
const bn = L.batchNormalization({ name: 'b1' }); let b = bn.apply(c)
let r = L.reLU({ maxValue: 6, name: 'r1' }).apply(b)
let d = L.depthwiseConv2d({ kernelSize: 3, padding: 'same', activation: 'relu', depthwiseInitializer: tfl.initializers.heNormal({seed: 2}), name: 'd1' }).apply(r)
let s = L.add({ name: 'sum' }).apply([r, d])
let p = L.maxPooling2d({ poolSize: 2, name: 'p1' }).apply(s)
let y = L.dense({ units: 5, kernelInitializer: tfl.initializers.heNormal({seed: 3}), biasInitializer: tfl.initializers.randomUniform({minval:-.2,maxval:.2,seed: 4}), name: 'fc' }).apply(L.globalAveragePooling2d({ name: 'g' }).apply(p))
const m = tfl.model({ inputs: input, outputs: y })
bn.setWeights([tf.tensor1d([1.1,.9,1.2,.8,1,.7]), tf.tensor1d([.1,-.2,.3,0,.05,-.1]), tf.tensor1d([.2,-.1,0,.1,-.3,.15]), tf.tensor1d([1.2,.8,1,1.5,.6,.9])])
// channels first by the formula, laid out channels last
const x = new Float32Array(2 * 432)
for (let n = 0; n < 2; n++) for (let c = 0; c < 3; c++) for (let i = 0; i < 144; i++) x[n * 432 + i * 3 + c] = (((n * 432 + c * 144 + i) * 37) % 101) / 50 - 1
const out = m.predict(tf.tensor4d(x, [2, 12, 12, 3]))
const logits = out.arraySync()
let art
await m.save(tf.io.withSaveHandler(async (a) => { art = a; return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } } }))
fs.writeFileSync('model.json', JSON.stringify({ modelTopology: art.modelTopology, format: art.format, generatedBy: art.generatedBy, convertedBy: art.convertedBy, weightsManifest: [{ paths: ['weights.bin'], weights: art.weightSpecs }] }))
fs.writeFileSync('weights.bin', Buffer.from(art.weightData))
fs.writeFileSync('logits.json', JSON.stringify({ by: 'tfjs-layers ' + tfl.version_layers, logits }))
