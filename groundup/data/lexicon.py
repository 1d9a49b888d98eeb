"""The words of the built-in world: what can exist in it (the world draws from this once), and lists to write with.

Notation of every text here and in `world.py`: `[a|b*3]` is a choice with weights, `<list>` a choice from `WORDS`
(`<List>` the same with capitals), `[a|b]:key` a choice whose words are remembered as `{key}`, `@ ` the article a or an.
Choices are nested freely. Everything here was written for groundup.
"""

SEASONS = ("spring", "summer", "autumn", "winter")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
GIRLS = ("Anna", "Clara", "Ella", "Ida", "Lucy", "Nora", "Rosa", "Tilda", "Wanda")
BOYS = ("Ben", "Daniel", "Felix", "Hugo", "Jonas", "Leo", "Oscar", "Peter", "Tom")
RELATIVES = ("grandmother", "grandfather", "aunt", "uncle", "mother", "father")
MEN = ("grandfather", "uncle", "father")
PETS = ("kitten", "puppy", "goat", "donkey", "hen", "rabbit", "lamb", "pony", "tortoise")
PET_NAMES = ("Pip", "Button", "Moss", "Biscuit", "Pepper", "Nutmeg", "Ginger", "Smoky", "Domino")
PET_NAMES += ("Captain", "Muffin", "Pickle", "Patch", "Thimble", "Juniper", "Velvet", "Rusty", "Waffle")
PET_COLOURS = ("black", "white", "brown", "grey", "spotted")

VILLAGES = ("Fernley", "Oldmere", "Harrowmill", "Stonebeck", "Larkfield", "Elmscombe")
SITES = ("beside the lake", "at the foot of the windy hill", "at the edge of the forest", "in the quiet valley")
SITES += ("on the bank of the river", "on the south slope")
SIGHTS = ("a clock with one hand", "a crooked tower", "a green bridge", "a very deep well", "a red windmill")
SIGHTS += ("a round chapel",)
FEASTS = ("the lantern feast", "the apple feast", "the boat race", "the kite feast", "the cake feast", "the sheep race")

MAKERS = {  # craft: the name and sex of the one person in this world who has it
    "potter": ("Agnes", "f"),
    "weaver": ("Martha", "f"),
    "smith": ("Conrad", "m"),
    "carpenter": ("Edith", "f"),
    "tailor": ("Gustav", "m"),
    "saddler": ("Walter", "m"),
    "basket maker": ("Greta", "f"),
    "candle maker": ("Albert", "m"),
}
TOOLS = {
    "potter": "wheel",
    "weaver": "loom",
    "smith": "hammer",
    "carpenter": "saw",
    "tailor": "needle",
    "saddler": "knife",
    "basket maker": "bench",
    "candle maker": "kettle",
}
THINGS = {  # thing: craft, possible materials, possible uses
    "jug": ("potter", "red clay|white clay", "carrying water|keeping milk cool"),
    "bowl": ("potter", "brown clay|grey clay", "serving soup|washing berries"),
    "blanket": ("weaver", "soft wool|thick cotton", "keeping warm at night|covering a bed"),
    "scarf": ("weaver", "green wool|blue wool", "keeping out the cold|covering the ears"),
    "bell": ("smith", "copper|iron|silver", "calling the goats|waking the children"),
    "lantern": ("smith", "tin|brass|iron", "lighting the road|finding the way home"),
    "boat": ("carpenter", "pine wood|birch wood", "racing on the pond|playing by the water"),
    "whistle": ("carpenter", "willow wood|cherry wood", "calling a dog|playing tunes"),
    "kite": ("tailor", "yellow silk|white paper|red silk", "playing in the wind|sending up messages"),
    "hat": ("tailor", "black felt|grey felt", "keeping off the rain|shading the eyes"),
    "ball": ("saddler", "brown leather|red leather", "playing in the yard|games at school"),
    "drum": ("saddler", "goat skin|calf skin", "leading a dance|opening the market"),
    "basket": ("basket maker", "straw|split reed", "bringing home fruit|gathering eggs"),
    "candle": ("candle maker", "yellow wax|white wax", "reading in bed|lighting the table"),
}

SIZES = {
    "small": ("a plum", "a teacup", "a mitten", "a pear", "a bun"),
    "middle": ("a loaf of bread", "a cabbage", "a boot", "a kettle", "a pillow"),
    "large": ("a sheepdog", "a barrel", "a wheelbarrow", "a sack of flour"),
}
ANIMALS = {  # animal: where it can live, its size, possible colours
    "badger": ("ground", "large", "grey|black|brown"),
    "fox": ("ground", "large", "red|golden|grey"),
    "hedgehog": ("ground", "middle", "brown|grey"),
    "hare": ("ground", "middle", "brown|grey|white"),
    "mole": ("ground", "small", "black|grey"),
    "squirrel": ("tree", "middle", "red|grey|black"),
    "owl": ("tree", "middle", "white|brown|grey"),
    "dormouse": ("tree", "small", "golden|brown"),
    "jackdaw": ("tree", "middle", "black|grey"),
    "robin": ("tree", "small", "red|orange"),
    "otter": ("water", "large", "brown|grey"),
    "heron": ("water", "large", "grey|white|blue"),
    "frog": ("water", "small", "green|yellow|brown"),
    "beaver": ("water", "large", "brown|black"),
    "newt": ("water", "small", "orange|green|black"),
}
HOMES = {
    "ground": ("under the old oak", "behind the stone wall", "below the chapel steps", "in the sandy bank")
    + ("under the hawthorn hedge",),
    "tree": ("in the hollow elm", "in the tall pine", "inside the empty barn", "above the bell tower")
    + ("in the crooked willow",),
    "water": ("beside the mill pond", "among the tall reeds", "under the stone bridge", "behind the waterfall")
    + ("near the ferry landing",),
}
HOURS = ("at dawn", "at dusk", "at midnight", "before breakfast", "in the early afternoon")
SOUNDS = ("a low hum", "a sharp whistle", "a short cough", "a soft click", "a happy squeak", "a long sigh")
SKILLS = (
    "finding lost things",
    "remembering the way",
    "keeping secrets",
    "telling the weather",
    "listening",
    "climbing",
)
WINTERS = (
    "sleeps until the snow melts",
    "stays close to its home",
    "grows a thicker coat",
    "moves nearer to the village",
)

PLANTS = {  # plant: what one gathers from it, possible seasons, possible uses, possible colours of the flower
    "hazel": ("hazelnuts", "autumn", "cakes|bread", "yellow"),
    "bramble": ("blackberries", "summer|autumn", "jam|pies", "white|pink"),
    "apple tree": ("apples", "summer|autumn", "juice|pies|sauce", "white|pink"),
    "plum tree": ("plums", "summer|autumn", "dumplings|jam", "white"),
    "cherry tree": ("cherries", "summer", "cakes|syrup", "white|pink"),
    "pear tree": ("pears", "summer|autumn", "tarts|juice", "white"),
    "wild strawberry": ("strawberries", "spring|summer", "jam|tarts", "white|yellow"),
    "watercress": ("cress leaves", "spring", "soup|salads", "white|yellow"),
    "pea plant": ("peas", "spring|summer", "soup|porridge", "white|pink|purple"),
    "sunflower": ("sunflower seeds", "autumn", "bread|oil", "yellow|red"),
    "rose bush": ("rose hips", "winter", "tea|syrup", "red|pink|white|yellow"),
    "juniper bush": ("juniper berries", "autumn|winter", "sauce|tea", "yellow|green"),
}
FIELDS = ("on the windy hill", "in the long meadow", "along the river", "in the old orchard", "at the forest gate")
FIELDS += ("in the quiet valley", "near the lake", "behind the mill")

WEATHER = {  # weather: season it belongs to, what it does, what people do then
    "rain": ("spring", "turns the lanes to mud", "stay indoors and mend their clothes"),
    "wind": ("autumn", "carries off hats and washing", "tie down their roofs"),
    "snow": ("winter", "closes the road to the market", "pull their goods on sledges"),
    "fog": ("autumn", "hides the paths", "ring the bells to guide travellers"),
    "frost": ("winter", "makes the steps slippery", "spread ash on the steps"),
    "sunshine": ("summer", "dries the hay", "work from dawn until dusk"),
    "thunder": ("summer", "frightens the sheep", "bring their animals under a roof"),
}
WORKS = {
    "spring": "sow their fields|shear their sheep",
    "summer": "cut the hay|paint their boats",
    "autumn": "bring in the harvest|stack the firewood",
    "winter": "spin their wool|carve their spoons",
}

WORDS = {
    # time and weather
    "spring": "mild*2|fresh|rainy|bright|breezy|cool|clear|windy",
    "summer": "warm*3|hot*2|sunny*2|still|golden|dry|bright|lazy",
    "autumn": "windy*3|misty*2|golden|cool*2|grey|wet|quiet|rainy",
    "winter": "cold*3|snowy*2|frosty*2|dark|icy|still|white|grey",
    "part": "morning*4|afternoon*3|day*2|evening",
    "ago": "<number> years ago*4|last <season>*2|long ago|not long ago|<number> weeks ago*2|on @ <part> last <season>*2",
    # counting
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday",
    "day2": "Sunday",
    "slowly2": "into the fields|towards the forest|down the lane|up the hill|across the meadow",
    "then2": "suddenly|soon|then|at once",
    "picked": "picked*3|gathered*2|collected",
    "look2": "nervous*2|wild|frightened|restless",
    "box2": "sacks|cartloads|baskets|boxes|buckets",
    "him2": "the town|the village|everyone|the farmers",
    "light": "window|door|stove|clock|bed",
    "part2": "night|dawn|evening",
    "big": "twenty|thirty|forty|fifty|sixty",
    "number": "two*3|three*4|four*2|five*2|six|seven|eight|nine|ten|twelve",
    "many": "<ten>-<unit>*4|eleven|fifteen|sixteen|eighteen|nineteen",
    "ten": "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety",
    "unit": "one|two|three|four|five|six|seven|eight|nine",
    # adjectives
    "bad": "crooked*3|ugly*2|flat|bent|funny|lopsided|poor|weak",
    "bad2": "thin|rough*2|full of holes|heavy|soft",
    "fine": "smooth*2|light|bright*2|even|firm",
    "fine2": "strong*2|round|shiny|perfect|well made",
    "kind2": "loyal|lively|shy|modest|polite|calm",
    "kind3": "a little lazy*2|hungry|often late|fond of mischief|hard to catch|never in a hurry|afraid of <herd>",
    "glad2": "relieved|full of joy|at peace",
    "sad2": "tired*2|alone*2|angry|cold|ashamed|helpless",
    "dirty": "wet*2|muddy*3|dusty|sandy|sticky",
    "dirty2": "torn|scratched*2|bent*2|stained|crushed|covered with leaves",
    "weak": "weak*2|strange|faint|thin|small*2|sad",
    "cry": "cry*2|voice*2|sound|squeak|call",
    "warm": "warm|soft|round|brown",
    "dark": "dark*3|black*2|heavy*2|grey",
    "beast": "white*2|brown*2|grey|black*2|fat*2|noisy*2|sleepy|young*2|hungry|wet|old|lazy|shy|curious|thin|muddy|tame|quiet",
    "leafy": "broad|narrow|shiny|soft",
    "look": "old*3|little*3|small*2|big*2|new*2|plain|heavy|round|dusty|broken*2|wooden*2|empty*2|painted|mossy|crooked|leaning|rusty|tall|low|narrow|grey|green|red|brown|white|yellow|dry|damp|clean|patched|strong|forgotten",
    "near": "behind*3|near*3|beside*3|by|in front of*2|next to*2|not far from|close to|across from|opposite",
    "scene": "gate*2|cart*2|wall*2|well|ditch|hedge*2|fence*2|bench|pond|haystack|barn*2|bridge*2|tree*2|stone*2|shed|trough|ladder"
    "|fountain|post|mill|stable|bush|barrel|statue|oak|tower|hut|wagon|wheel|swing|woodpile|doorway|stairs",
    "building": "mill*3|school*2|chapel*2|well|forge|bakery*2|orchard|sawmill|inn*2|crossroads|stable|market|windmill|tannery|bath house"
    "|brewery|guard house|library|town hall|shop|fountain|dairy|ferry|quarry|bridge",
    "pile": "pile*2|heap*2|row|stack",
    "stuff": "hay*2|leaves*2|stones|bricks|logs|sacks|straw|wool|planks|hats|baskets|nets|tiles|books",
    "cover": "cart*2|bench*2|table|bridge|roof|tree*2|bush*2|sack|blanket|barrel|ladder|boat",
    "trait": "old*4|young*4|tall*2|kind|cheerful|tired|lame|proud|wise|quiet|famous|poor|rich|busy|nervous|merry|bearded",
    "job": "farmer*2|miller*2|baker*2|soldier|singer|postman|teacher*2|shepherd*2|doctor|sailor*2|cook*2|painter|mason|gardener"
    "|fisher|beekeeper|hunter|judge|peddler|clerk|monk|nurse|actor|barber|captain|widow|roofer|washerwoman",
    "trait2": "old*3|young*2|little|tall|clever|merry",
    "job_name": "Father Paul|Mother Bell|Doctor Stone|Captain Reed|Aunt Olga|Uncle Max",
    "season": "spring|summer|autumn|winter",
    "room_name": "kitchen*3|attic*2|cellar*2|shed|pantry|hall|workshop|loft|bedroom",
    "size": "big*2|small*2|little*2|full|heavy|tiny|whole",
    "box_name": "bag*3|sack*2|jar|box*2|bowl*2|pot|crate|tin|bundle|barrel",
    "spread": "butter*2|jam|honey|cheese*2|cream|lard|dripping",
    "colour": "red*2|blue*2|green*2|yellow|white*2|brown|grey|black|orange|purple|pink|silver",
    "colour2": "gold*2|dark blue|light green|pale pink|cream",
    "way2": "full of holes|easy to miss|pleasant|full of flowers|lined with trees|very old",
    "way": "muddy|narrow*2|stony|long*2|winding*2|steep|quiet|dusty|sandy|grassy|crooked|shady",
    "taste": "fresh*2|sweet*2|warm*2|sour|soft|crisp|hot*2|salty|cold|sticky|burnt|tasty|crusty|spicy|creamy|thin|plain",
    "glad": "happy*3|glad*3|pleased*2|proud*2|cheerful|delighted|thankful|merry",
    "sad": "sad*3|unhappy*2|worried*2|lonely|sorry|upset|gloomy|miserable",
    "kind": "kind*2|gentle|patient|clever|cheerful|quiet|brave|friendly|careful|wise|funny|honest",
    "state": "wet*2|dusty*2|cold|muddy*2|dirty|safe|whole|dry|warm",
    # things seen, eaten, used
    "herd1": "cow*2|sheep|goat*2|hen|pig|goose",
    "herd": "geese*3|ducks*2|sheep*3|goats|hens*2|swans|pigeons|sparrows*2|cows*2|pigs*2|snails|crows*2|horses|cats|dogs|mice|calves|turkeys|finches|gulls",
    "resting": "resting|sleeping*2|sitting*2|standing*2|waiting|playing*2|hiding|walking|quarrelling|eating|digging|running|dozing|dancing|marching|turning round",
    "spot": "<near> the <look> <scene>*6|<near> @ <look> <scene>*5|on @ <pile> of <stuff>|under @ <look> <cover>",
    "landmark": "the <look> <building>*3|the <building>*5",
    "food": "potatoes*2|turnips|onions|eggs*2|sausages|beans|leeks|cabbages|carrots*2|walnuts|cheeses|pickles|radishes|pumpkins|beets|lemons|figs|herrings|loaves|mushrooms",
    "dish": "<taste> soup*2|<taste> stew*2|porridge|<taste> pie|bread and <spread>|toast and <spread>|noodles|<taste> pudding",
    "wares": "cups*2|spoons|brushes|mats|ropes|buttons*2|combs|pots*2|ladders|brooms|ribbons|stools|nails|hooks|needles|mirrors|plates|belts|chains|toys|pillows|pipes|boxes|wheels",
    "clothing": "coat*3|cap*2|shawl|cloak*2|jacket*2|apron|hood|vest",
    "clothing2": "boots|gloves|socks|mittens",
    "belongings": "books|toys*2|marbles|stamps|shoes|money",
    "roots": "potatoes*2|turnips|onions|carrots*2|beets|mushrooms",
    "cakes": "buns*2|pancakes*2|dumplings|rolls*2|biscuits*2|pies|waffles|tarts|muffins|crusts|rusks",
    "tool": "spoon|bucket*2|broom|ladder*2|spade|chair*2|barrow|teapot|brush|pan|rope|sack|wheel|chest|stool|rake|hammer|mirror|shelf|table|pipe|fiddle|cradle|kettle|saddle|shovel|sieve|umbrella|plate|clock|pump|oar",
    "person": "@ <trait> <job>*4|@ <job> from <village>*2|<trait2> <job_name>",
    "person2": "a stranger|a little girl|two sisters|a painter|the mayor|a poor student",
    "village": "Fernley|Oldmere|Harrowmill|Stonebeck|Larkfield|Elmscombe",
    "roofs": "roofs*3|windows*2|chimneys*2|branches*2|fences|doors|trees|walls|gates|barns|carts|hedges",
    "earth": "grass|earth|hay|wood|bread|leaves",
    "path": "path*2|lane*2|road*2|track|trail",
    "weather": "rain|wind|snow|fog|frost|thunder",
    "room": "<look> <room_name>*2|<room_name>*3",
    "seat": "step|wall|bench*2|stool|gate|fence|log|bucket|barrel|chest|stump",
    "yard": "yard*2|stable*2|barn*2|garden|shed|meadow|orchard",
    "box": "<size> <box_name>*2|<box_name>*3",
    "boxes": "bags*2|sacks|jars|boxes*2|buckets|pots",
    "buns2": "bread|stones in the sun|new milk|rolls",
    "price": "coins*4|eggs|candles|loaves|cheeses|fish|hens",
    # doing
    "walked": "walked*4|ran*2|hurried*2|went*3|wandered|marched|skipped|strolled",
    "slowly": "quickly*2|slowly*2|quietly*2|happily|carefully*2|silently|eagerly|patiently|bravely|calmly|gladly|steadily|lightly|proudly|anxiously|cheerfully|lazily|boldly",
    "saw": "saw*3|passed*2|counted|noticed|watched|met",
    "along": "along*2|down*2|up|over",
    "voice": "softly*2|loudly|quietly*2|kindly|at last|slowly|with a smile*2|with a nod|in a small voice|gravely",
    "said": "said*6|answered|replied|whispered|called",
    "said2": "says|tells everyone|knows|has heard",
    "mend": "mend|clean|paint|carry|polish",
    "wash": "wash*2|peel*2|count|sort|cut|cook",
    "bake": "bake*3|count|cool|sell",
    "tidying": "sweeping*2|cleaning*2|painting|scrubbing|tidying",
    "dripped": "dripped*2|ran|fell",
    "shook": "shook*2|rattled|banged|pulled at",
    "covered": "covered*3|lay on*2|hid",
    "moved": "moved*2|rustled|cried|scratched",
    "oh": "Oh dear*2|Oh no*2|Dear me|Goodness|Oh",
    "yes": "Of course|Yes*2|Gladly|With pleasure|Certainly|Very well",
    "then": "then*3|suddenly*2|all at once|a moment later|just then*2|soon",
    "weeks": "for weeks|for days|all week|since <day>|all {season}",
    "later": "the next day|the next morning|two days later|three days later|a week later|the following evening",
    "evening": "that evening|that night|at sunset|before bedtime|after supper",
    "meal": "breakfast|lunch|dinner|supper",
}
