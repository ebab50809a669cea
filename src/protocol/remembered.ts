// What follows from a step of a plan and little else: every inference asks for it again, between two messages.

/** Of one step: without a guard and with one, in either ring. */
const MOST = 4

/**
 * `make`, which remembers what it made of an object, the last few times, for as long as that lives.
 * @param make depends on its arguments alone, those after the first compared by identity; nobody changes what it made
 */
export function remembered<Make extends (of: never, ...others: never[]) => unknown>(make: Make): Make {
  const known = new WeakMap<object, { readonly others: readonly unknown[]; readonly made: unknown }[]>()
  const ask = (of: never, ...others: never[]): unknown => {
    const all = known.get(of) ?? []
    for (const { others: before, made } of all) {
      if (before.length === others.length && others.every((other, i) => other === before[i])) return made
    }
    const made = make(of, ...others)
    known.set(of, [{ others, made }, ...all.slice(0, MOST - 1)])
    return made
  }
  return ask as Make
}
