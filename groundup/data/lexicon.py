"""The words of the built-in world: what can exist in it (the world draws from this once), and lists to write with.

Notation of every text here and in `tales.py`: `[a|b*3]` is a choice with weights, `<list>` a choice from `WORDS`
(`<List>` the same with capitals), `[a|b]:key` a choice whose words are remembered as `{key}`, `@ ` the article a or
an, `^ ` A or An. Choices nest freely. Everything here was written for groundup.
"""

SEASONS = ("spring", "summer", "autumn", "winter")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
GIRLS = ("Anna", "Clara", "Ella", "Ida", "Lucy", "Nora", "Rosa", "Tilda", "Wanda")
BOYS = ("Ben", "Daniel", "Felix", "Hugo", "Jonas", "Leo", "Oscar", "Peter", "Tom")
RELATIVES = ("grandmother", "grandfather", "aunt", "uncle", "mother", "father")
MEN = ("grandfather", "uncle", "father")
PETS = ("kitten", "puppy", "goat", "donkey", "hen", "rabbit", "lamb", "pony", "tortoise")
PET_NAMES: tuple[str, ...] = (
    "Pip",
    "Button",
    "Moss",
    "Biscuit",
    "Pepper",
    "Nutmeg",
    "Ginger",
    "Smoky",
    "Domino",
    "Captain",
    "Muffin",
    "Pickle",
    "Patch",
    "Thimble",
    "Juniper",
    "Velvet",
    "Rusty",
    "Waffle",
)
PET_COLOURS = ("black", "white", "brown", "grey", "spotted")

VILLAGES = ("Fernley", "Oldmere", "Harrowmill", "Stonebeck", "Larkfield", "Elmscombe")
SITES: tuple[str, ...] = (
    "beside the lake",
    "at the foot of the windy hill",
    "at the edge of the forest",
    "in the quiet valley",
    "on the bank of the river",
    "on the south slope",
)
SIGHTS: tuple[str, ...] = (
    "a clock with one hand",
    "a crooked tower",
    "a green bridge",
    "a very deep well",
    "a red windmill",
    "a round chapel",
)
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
    "ground": (
        "under the old oak",
        "behind the stone wall",
        "below the chapel steps",
        "in the sandy bank",
        "under the hawthorn hedge",
    ),
    "tree": (
        "in the hollow elm",
        "in the tall pine",
        "inside the empty barn",
        "above the bell tower",
        "in the crooked willow",
    ),
    "water": (
        "beside the mill pond",
        "among the tall reeds",
        "under the stone bridge",
        "behind the waterfall",
        "near the ferry landing",
    ),
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
FIELDS: tuple[str, ...] = (
    "on the windy hill",
    "in the long meadow",
    "along the river",
    "in the old orchard",
    "at the forest gate",
    "in the quiet valley",
    "near the lake",
    "behind the mill",
)

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
    "spring": "mild|fresh|rainy|bright|breezy|cool|clear|windy",
    "summer": "warm|hot|sunny|still|golden|dry|bright|lazy",
    "autumn": "windy|misty|golden|cool|grey|wet|quiet|rainy",
    "winter": "cold|snowy|frosty|dark|icy|still|white|grey",
    "part": "morning*4|afternoon*3|day*2|evening",
    "ago": "<number> years ago*4|last <season>|long ago|not long ago|<number> weeks ago|on @ <part> last <season>",
    # counting
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday",
    "slowly2": "into the fields|towards the forest|down the lane|up the hill|across the meadow",
    "picked": "picked|gathered|collected",
    "look2": "nervous|wild|frightened|restless",
    "box2": "sacks|cartloads|baskets|boxes|buckets",
    "him2": "the town|the village|the farmers|the mayor",
    "light": "window|door|stove|clock|bed",
    "part2": "night|dawn|evening",
    "big": "twenty|thirty|forty|fifty|sixty",
    "number": "two*2|three*2|four*2|five*2|six|seven|eight|nine|ten|eleven|twelve",
    "many": "<ten>-<unit>*4|eleven|fifteen|sixteen|eighteen|nineteen",
    "ten": "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety",
    "unit": "one|two|three|four|five|six|seven|eight|nine",
    # adjectives
    "bad": "crooked|ugly|flat|bent|funny|lopsided|poor|weak|lumpy|tiny|huge|clumsy",
    "bad2": "thin|rough|full of holes|heavy|soft|dirty|uneven|brittle|loose|wobbly",
    "fine": "smooth|light|bright|even|firm",
    "fine2": "strong|round|shiny|perfect|well made",
    "kind2": "loyal|lively|shy|modest|polite|calm|strict|merry|generous|thoughtful|neat|silent",
    "kind3": "a little lazy|often late|fond of mischief|hard to catch|never in a hurry|afraid of <herd>",
    "sad2": "silent|alone|cold|ashamed|helpless|pale|confused|homesick",
    "dirty": "wet|muddy|dusty|sandy|sticky",
    "dirty2": "torn|scratched|bent|stained|crushed|covered with leaves",
    "weak": "weak|strange|faint|thin|small|sad",
    "cry": "cry|voice|sound|squeak|call",
    "dark": "dark|black|heavy|grey",
    "beast": "white|brown|grey|black|fat|noisy|young|hungry|wet|old|shy|curious|thin|muddy|tame|quiet|spotted"
    "|clever|golden|small|big|cheerful|nervous|proud|striped|pretty",
    "look": "old|little|big|new|plain|heavy|round|dusty|broken|wooden|painted|rusty|small|green|red|brown|white"
    "|yellow|clean|strong|cracked|light|black|grey|blue|ugly|narrow|empty|pretty|dented|curved|smooth|thick|thin"
    "|pointed|polished|crooked",
    "near": "behind*3|near*3|beside*3|by|in front of*2|next to*2|not far from|close to|across from|opposite",
    "scene": "gate|cart|wall|hedge|fence|haystack|barn|bridge|tree|stone|shed|ladder|fountain|post|mill|stable"
    "|bush|statue|oak|tower|hut|wagon|woodpile|windmill|signpost|birch|boulder|henhouse",
    "building": "mill|school|chapel|well|forge|bakery|orchard|sawmill|inn|crossroads|stable|market|windmill"
    "|tannery|bath house"
    "|brewery|guard house|library|town hall|shop|fountain|dairy|ferry|quarry|bridge",
    "pile": "pile|heap|row|stack",
    "stuff": "hay|leaves|stones|bricks|logs|sacks|straw|wool|planks|hats|baskets|nets|tiles|books",
    "cover": "cart|bench|table|bridge|tree|bush|ladder|boat|wagon|roof|balcony|signpost",
    "trait": "old*4|young*4|tall|kind|cheerful|tired|lame|proud|wise|quiet|famous|poor|rich|busy|nervous|merry|bearded",
    "job": "farmer|miller|baker|soldier|singer|postman|teacher|shepherd|doctor|sailor|cook|painter|mason|gardener"
    "|fisher|beekeeper|hunter|judge|peddler|clerk|monk|nurse|actor|barber|captain|widow|roofer|washerwoman",
    "job_name": "Father Paul|Mother Bell|Doctor Stone|Captain Reed|Aunt Olga|Uncle Max",
    "season": "spring|summer|autumn|winter",
    "room_name": "kitchen|attic|cellar|shed|pantry|hall|workshop|loft|bedroom",
    "size": "big|small|little|full|heavy|tiny|whole",
    "box_name": "bag|sack|jar|box|bowl|pot|crate|tin|bundle|barrel",
    "spread": "butter|jam|honey|cheese|cream|lard|dripping",
    "colour": "red|blue|green|yellow|white|brown|grey|black|orange|purple|pink|silver|golden|pale|bright|dark",
    "colour2": "gold|dark blue|light green|pale pink|cream",
    "way": "muddy|narrow|stony|long|winding|steep|quiet|dusty|sandy|grassy|crooked|shady|bumpy|wide|straight|dark"
    "|sunny|lonely|rocky|icy",
    "taste": "fresh|sweet|warm|sour|soft|crisp|hot|salty|cold|sticky|burnt|tasty|crusty|spicy|creamy|thin|plain",
    "glad": "happy*2|glad*2|pleased|proud|cheerful|delighted|thankful|merry|relieved|content|excited|joyful|grateful",
    "sad": "sad*2|unhappy|worried|lonely|sorry|upset|gloomy|miserable|frightened|tired|hungry|angry|nervous|cross",
    "kind": "kind|gentle|patient|clever|cheerful|quiet|brave|friendly|careful|wise|funny|honest|stubborn|curious"
    "|helpful|proud",
    "state": "wet|dusty|cold|muddy|dirty|sandy|frozen|dripping|covered with leaves",
    # things seen, eaten, used
    "herd1": "cow|sheep|goat|hen|pig|goose",
    "herd": "geese|ducks|sheep|goats|hens|swans|pigeons|sparrows|cows|pigs|snails|crows|horses|cats|dogs|mice"
    "|calves|turkeys|finches|gulls",
    "resting": "resting|sleeping|sitting|standing|waiting|playing|hiding|quarrelling|eating|digging|dozing|dancing"
    "|bathing|watching the clouds",
    "spot": "<near> the <scene_look> <scene>*6|<near> @ <scene_look> <scene>*4|on @ <pile> of <stuff>|under @"
    " <scene_look> <cover>|on the <way> <path>",
    "landmark": "the <scene_look> <building>*3|the <building>*4",
    "food": "potatoes|turnips|onions|eggs|sausages|beans|leeks|cabbages|carrots|walnuts|cheeses|pickles|radishes"
    "|pumpkins|beets|lemons|figs|herrings|loaves|mushrooms",
    "dish": "<taste> soup|<taste> stew|porridge|<taste> pie|bread and <spread>|toast and <spread>|noodles|<taste>"
    " pudding",
    "wares": "cups|spoons|brushes|mats|ropes|buttons|combs|pots|ladders|brooms|ribbons|stools|nails|hooks|needles"
    "|mirrors|plates|belts|chains|toys|pillows|pipes|boxes|wheels",
    "clothing": "coat|cap|shawl|cloak|jacket|apron|hood|vest",
    "clothing2": "boots|gloves|socks|mittens",
    "roots": "potatoes|turnips|onions|carrots|beets|mushrooms",
    "cakes": "buns|pancakes|dumplings|rolls|biscuits|pies|waffles|tarts|muffins|crusts|rusks",
    "tool": "spoon|bucket|broom|ladder|spade|chair|barrow|teapot|brush|pan|rope|sack|wheel|chest|stool|rake|hammer"
    "|mirror|shelf|table|pipe|fiddle|cradle|kettle|saddle|shovel|sieve|umbrella|plate|clock|pump|oar",
    "person": "@ <trait> <job>*4|@ <job> from <village>|<job_name>",
    "village": "Fernley|Oldmere|Harrowmill|Stonebeck|Larkfield|Elmscombe",
    "roofs": "roofs*3|windows*2|chimneys*2|branches*2|fences|doors|trees|walls|gates|barns|carts|hedges",
    "path": "path|lane|road|track|trail|street",
    "weather": "rain|wind|snow|fog|frost|thunder",
    "room": "<room_look> <room_name>*3|<room_name>*2",
    "seat": "step|wall|bench|stool|gate|fence|log|bucket|barrel|chest|stump",
    "box": "<size> <box_name>|<box_name>",
    "boxes": "bags|sacks|jars|boxes|buckets|pots",
    "price": "coins*4|eggs|candles|loaves|cheeses|fish|hens",
    "scene_look": "old|little|big|grey|mossy|tall|low|crooked|brown|damp|dusty|narrow|small|green|white|ancient"
    "|long|dark|steep|round",
    "room_look": "cold|dark|warm|little|dusty|quiet|tidy|small|old|big|narrow|cool|bright",
    "perch": "cart|table|roof|wall|shelf|wagon|window|ladder|tree|bridge|gate|stable",
    "sadly": "slowly|silently|sadly|angrily|without a word|stiffly|quickly|in tears|bitterly",
    "sad_voice": "softly|quietly|sadly|gravely|anxiously|crossly|in a small voice|bitterly|unhappily|with a sigh"
    "|in tears",
    "answered": "said*3|answered*3|replied*2|whispered",
    "left": "walked|went|ran|hurried|turned|crept|trudged",
    "bones": "their knees|their bones|the wood|their left foot|the bread|their old hats",
    "seen": "counted|saw|noticed|drew|planted|measured",
    # passages
    "sight": "[ On the way {he} <saw> <number> <beast> <herd>, which were <resting> <spot>.| {He} met <person>,"
    " who was carrying <number> <look> <wares>.| {Pet_name} the {pet} <followed>.|*4]",
    "event": "@ <look> <tool> <fell> from @ <scene_look> <perch>|<number> <beast> <herd> <crossed> the <way> <path>"
    "|<person> <sang> <spot>",
    "odds": "<number> <beast> <herd>|@ <look> <tool> and <number> <wares>|@ <colour> <clothing>|@ <box> of <food>",
    "gift": "<number> <taste> <cakes>*2|@ <box> of <taste> <food>*2|@ <look> <tool> and <number> <cakes>|@"
    " <colour> <clothing>",
    # doing
    "slept": "slept|lay|waited|dreamed|sat",
    "counted": "counted|saw|noticed|drew|met|heard|fed",
    "followed": "followed {him}|ran ahead|trotted behind|came too",
    "fell": "fell|rolled|dropped|slid",
    "crossed": "crossed|blocked|ran over|came down",
    "sang": "sang|whistled|waved|laughed|slept|coughed|sneezed|was singing|was waiting|called out",
    "feeding": "feeding*2|brushing*2|washing|looking for|stroking|hugging",
    "eating": "eating|sharing|counting|tasting",
    "waiting": "waiting|looking|calling",
    "gone": "gone|missing|not there|lost|nowhere to be seen",
    "loved": "loved|liked|treasured|prized",
    "spied": "saw*2|noticed|spotted|discovered",
    "looked": "looked|searched|hunted",
    "found": "found|saw|discovered|noticed",
    "took": "took|carried|brought",
    "stored": "dried|stored|sweet|good",
    "ate": "ate|tasted|chewed|finished|swallowed",
    "when": "yesterday|this morning|last night|an hour ago|at noon|before dawn",
    "by": "beside|near|next to|close to",
    "mending": "mending|cleaning|painting|polishing|carrying|drying",
    "wished": "wished for|wanted|dreamed of|longed for",
    "may": "May|Could|Can",
    "washed": "washed|counted|sorted|carried|packed",
    "fixed": "cleaned|painted|swept|tidied",
    "limbs": "arms|hands|feet|fingers|knees",
    "limb": "foot|leg|back|tail|head",
    "hurt": "hurt|were tired|were sore|grew heavy",
    "hurts": "hurts|is stiff|is sore|is cold",
    "opened": "opened|unlocked|turned to|reached into",
    "singing": "singing|laughing|dancing|without a rest|in no time",
    "played": "played|worked|talked|rested",
    "reached": "reached for|asked for|wanted|took hold of|pulled at",
    "bad_child": "mean|greedy|rude|selfish|unkind|a thief",
    "cried": "cried*2|shouted*2|called*2|screamed|yelled",
    "dark_room": "empty|dark|too quiet|cold|bare",
    "sorry": "sorry*4|ashamed|so sorry",
    "stuck": "stuck|caught|lying|trapped",
    "pushed": "pushed|pulled|lifted|turned|dragged",
    "come": "come in|follow me|come with me|this way|come closer|do not be afraid",
    "rolled": "rolled|came|rose|hung|gathered",
    "hugged": "hugged|stroked|kissed|thanked",
    "cooked": "cooked|warmed|served",
    "frighten": "frighten|chase|wake|steal",
    "promise": "I promise|Not a word|You can trust me|Never|Of course",
    "like": "like|love",
    "big_now": "strong|grown|fat|big enough",
    "become": "become|be",
    "great": "great|good|real|fine|famous",
    "practised": "practised|tried|worked|laboured",
    "walked": "walked|ran|hurried|went|wandered|marched|skipped|strolled|raced|crept|tramped|trotted|rushed",
    "slowly": "quickly|slowly|quietly|carefully|silently|eagerly|patiently|bravely|calmly|steadily|lightly|boldly"
    "|briskly|softly|cautiously|without a word",
    "saw": "saw*2|passed|counted|noticed|watched|met|heard",
    "along": "along|down|up|over",
    "voice": "softly|quietly|kindly|slowly|gravely|warmly|gently|shyly|calmly|politely|hopefully|seriously"
    "|thoughtfully|at last|with a smile|with a nod|in a small voice|after a while|without looking up",
    "said": "said*6|whispered|murmured",
    "said2": "says|tells everyone|knows|has heard",
    "mend": "mend|clean|paint|carry|polish",
    "wash": "wash|peel|count|sort|cut|cook",
    "bake": "bake|count|cool|sell",
    "tidying": "sweeping|cleaning|painting|scrubbing|tidying",
    "shook": "shook|rattled|banged|pulled at",
    "covered": "covered|lay on|hid",
    "oh": "Oh dear*2|Oh no*2|Dear me|Goodness|Oh",
    "yes": "Of course|Yes|Gladly|With pleasure|Certainly|Very well",
    "then": "then*3|suddenly*2|all at once|a moment later|just then*2|soon",
    "weeks": "for weeks|for days|all week|since <day>|all {season}",
    "later": "the next day|the next morning|<number> days later*2|<number> weeks later*2|the following evening",
    "evening": "that evening|that night|at sunset|before bedtime|after supper|when the moon rose|at nightfall",
}
