//! Long texts that a case describes instead of writing them out, such as `300 x 'a' + 'é'`.

/// The text of a description: parts joined by `+`, each a number of times something.
pub(crate) fn text(description: &str) -> Result<String, String> {
    let not_understood = || format!("text not understood: {description:?}");
    let parts = split(description);
    let texts: Option<Vec<_>> = parts.iter().map(|part| repeated(part)).collect();
    texts.map(|texts| texts.concat()).filter(|text| !text.is_empty()).ok_or_else(not_understood)
}

/// The parts between those `+` that stand in no quotes.
fn split(description: &str) -> Vec<&str> {
    let mut quote = None;
    let between = description.split(move |letter: char| {
        match quote {
            Some(open) if open == letter => quote = None,
            None if QUOTES.contains(&letter) => quote = Some(letter),
            _ => {}
        }
        quote.is_none() && letter == '+'
    });
    between.map(str::trim).collect()
}

/// Returns what `300 x 'a'`, `'a' repeated 300 times` or `300 bytes of a` means.
fn repeated(part: &str) -> Option<String> {
    let (outside, unit) = match part.find(QUOTES) {
        Some(open) => {
            let quote = part[open..].chars().next()?;
            let close = part.rfind(quote).filter(|close| *close > open)?;
            let outside = format!("{} {}", &part[..open], &part[close + 1..]);
            (outside, Some(part[open + 1..close].to_owned()))
        }
        None => (part.to_owned(), None),
    };
    let words: Vec<&str> = outside.split([' ', '*', '×', ',', ';']).collect();
    let words = || words.iter().copied().filter(|word| !word.is_empty());
    let number = words().find_map(|word| word.parse::<usize>().ok());
    let counts_bytes = words().any(|word| ["byte", "bytes"].contains(&word));
    let mut others = words().filter(|word| word.parse::<usize>().is_err());
    let (unit, count) = match (unit, number) {
        (Some(unit), None) if words().next().is_none() => (unit, 1),
        (Some(unit), Some(count)) => (unit, count),
        (None, Some(count)) => {
            // An `x` beside another word means times; alone it is the letter.
            let plain = |word: &&str| !WORDS.split(' ').any(|known| known == *word);
            let unit = others.clone().find(plain).or_else(|| others.find(|word| *word == "x"))?;
            (unit.to_owned(), count)
        }
        _ => return None,
    };
    let count = if counts_bytes { count / unit.len().max(1) } else { count };
    Some(unit.repeat(count))
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Words for the number of repetitions.
const WORDS: &str = "x times time repeated repeat of byte bytes letter letters char chars \
                     character characters a an the long";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_as_described() {
        for (description, expected) in [
            ("3 x 'v'", "vvv"),
            ("3 × v", "vvv"),
            ("3 times \"ab\"", "ababab"),
            ("'v' repeated 3 times", "vvv"),
            ("`v` * 3", "vvv"),
            ("v*3", "vvv"),
            ("3 bytes of x", "xxx"),
            ("4 bytes of 'é'", "éé"),
            ("2 x 'a' + 'é'", "aaé"),
            ("2 x '+' + \"'\"", "++'"),
            ("3 x's", ""),
        ] {
            assert_eq!(text(description).unwrap_or_default(), expected, "{description}");
        }
        for description in ["", "long", "a lot of it", "3", "3 bytes"] {
            assert!(text(description).unwrap_err().contains("not understood"), "{description}");
        }
    }
}
