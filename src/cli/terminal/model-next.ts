// What to type next with a model: it is tried where it brings pictures, else offered to clients.
import { packagedModels } from '../../files/prepared-model.js'
import { nextCommand, type Paint, quoted } from './terminal.js'

/** @param model a packaged one, or a folder with weights */
export const modelNext = (model: string, paint: Paint): string =>
  packagedModels().includes(model)
    ? nextCommand(`demo --model ${quoted(model)}`, 'the whole protocol, every bit checked', paint)
    : nextCommand(`serve --model ${quoted(model)} --helper ws://127.0.0.1:7701`, 'the private server', paint)
