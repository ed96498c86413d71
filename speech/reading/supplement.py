"""Words that misaki's dictionaries lack and that texts of today are full of, in Kokoro's alphabet."""

WORDS = {
    "alibaba": "ˌælibˈɑbə", "android": "ˈændɹYd", "baidu": "bˈIdˌu", "bitcoin": "bˈɪtkˌYn", "bluetooth": "blˈutˌuθ",
    "bytedance": "bˈItdˌæns", "cetera": "sˈɛɾəɹə", "chatbot": "ʧˈætbˌɑt", "chatgpt": "ʧˈætʤˌipˌitˈi", "deepseek": "dˈipsˌik",
    "docker": "dˈɑkəɹ", "et": "ˌɛt", "facebook": "fˈAsbˌʊk", "github": "ɡˈɪthˌʌb", "glm": "ʤˌiˌɛlˈɛm", "google": "ɡˈuɡᵊl",
    "huawei": "hwˈɑwˌA", "instagram": "ˈɪnstəɡɹˌæm", "ios": "ˌIˌOˈɛs", "ipad": "ˈIpˌæd", "iphone": "ˈIfˌOn", "json": "ʤˈAsᵊn",
    "jpeg": "ʤˈApˌɛɡ", "kokoro": "kˈOkəɹˌO", "kubernetes": "kˌubəɹnˈɛɾiz", "linux": "lˈɪnəks", "li": "lˈi",
    "linkedin": "lˌɪŋktˈɪn",
    "macbook": "mˈækbˌʊk", "macos": "mˌækˌOˈɛs", "miz": "mˈɪz", "missus": "mˈɪsɪz", "mister": "mˈɪstəɹ", "ms": "mˈɪz",
    "microsoft": "mˈIkɹəsˌɔft", "netflix": "nˈɛtflˌɪks", "nvidia": "ɛnvˈɪdiə", "openai": "ˌOpᵊnˌAˈI", "paypal": "pˈApˌæl",
    "phd": "pˌiˌAʧdˈi", "podcast": "pˈɑdkˌæst", "python": "pˈIθˌɑn", "pytorch": "pˈItˌɔɹʧ", "qq": "kjˌukjˈu", "qwen": "kwˈɛn",
    "singapore": "sˈɪŋəpˌɔɹ", "spotify": "spˈɑɾəfˌI", "taobao": "tˈWbˌW", "tencent": "tˈɛnsˌɛnt", "tesla": "tˈɛslə",
    "tiktok": "tˈɪktˌɑk", "ubuntu": "ubˈuntu", "usb": "jˌuˌɛsbˈi", "vpn": "vˌipˌiˈɛn", "wang": "wˈɑŋ", "wechat": "wˈiʧˌæt",
    "weibo": "wˈAbˌO", "whatsapp": "wˈʌtsˌæp", "wifi": "wˈIfˌI", "wikipedia": "wˌɪkəpˈidiə", "xi": "ʃˈi", "xiaomi": "ʃˈWmˌi",
    "zhang": "ʤˈɑŋ", "zhao": "ʤˈW", "zhejiang": "ʤˌʌʤiˈɑŋ", "zhipu": "ʤˈɪpˌu", "zhou": "ʤˈO", "zhu": "ʤˈu",
}  # fmt: skip
