/** "Did you mean …?": the known word that is most similar to a misspelt one. */

/**
 * The most similar known word; `undefined` if none is similar. Ignores case, and dashes and underscores between a name's parts: `nat-outgoing`
 * is `natOutgoing`. If several are equally similar, the first.
 */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const wanted = plain(word);
  let best: string | undefined;
  // One typo per four letters; a word of three letters may have one.
  let nearest = Math.max(1, Math.floor(wanted.length / 4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate));
    // No letter of the word would be left.
    if (distance >= nearest || distance >= wanted.length) continue;
    nearest = distance;
    best = candidate;
  }
  return best;
}

/** For the end of a message: ` (did you mean "doctor"?)`; empty if no known word is similar or begins with it. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = suggest(word, known);
  const found = near === undefined ? beginningWith(word, known) : [near];
  return found.length === 0 ? "" : ` (did you mean ${found.map((one) => `"${one}"`).join(" or ")}?)`;
}

/** The known words that begin with this one, of at least three letters; none if there are more than three. */
function beginningWith(word: string, known: readonly string[]): readonly string[] {
  const wanted = plain(word);
  const found = wanted.length < 3 ? [] : known.filter((one) => plain(one).startsWith(wanted));
  return found.length > 3 ? [] : found;
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, "");
}

/**
 * How many letters must be put in, left out, changed, or swapped with their neighbour to make one word of the other (the optimal string
 * alignment distance).
 */
export function editDistance(one: string, other: string): number {
  // Row i: the distances of the first i letters of `one` to each beginning of `other`.
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = one[i - 1] === other[j - 1] ? 0 : 1;
      let least = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + change);
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[other.length] ?? 0;
}
