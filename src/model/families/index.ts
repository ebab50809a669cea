// Every family that the short form of `arch/1` knows; one line and one file each.
import type { Family } from './family.js'
import { seesaw } from './seesaw.js'

export const families: Readonly<Record<string, Family>> = { seesaw }
