// Every family that the short form of `arch/1` knows; one line and one file each.
import { cryptonas } from './cryptonas.js'
import { deeplabv3 } from './deeplabv3.js'
import type { Family } from './family.js'
import { hybrenet } from './hybrenet.js'
import { mobilenetv2 } from './mobilenetv2.js'
import { proxyless } from './proxyless.js'
import { resnet } from './resnet.js'
import { resnetCifar } from './resnet-cifar.js'
import { seesaw } from './seesaw/seesaw.js'
import { vgg } from './vgg.js'
import { wrn } from './wrn.js'

export const families: Readonly<Record<string, Family>> = {
  seesaw,
  resnet,
  'resnet-cifar': resnetCifar,
  wrn,
  vgg,
  mobilenetv2,
  proxyless,
  hybrenet,
  cryptonas,
  deeplabv3,
}
